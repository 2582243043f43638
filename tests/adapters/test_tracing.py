"""Spans reach a collector: a request, and a cast with its steps, without what they were given."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from cauldron.api.app import create_app
from cauldron.bootstrap import Studio
from cauldron.config import Settings

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")


class Collector(BaseHTTPRequestHandler):
    """Takes spans over HTTP, as OpenTelemetry's own collector does."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append((self.path, self.headers.get("content-encoding"), body))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def collector():
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        server.taken = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def spans_of(taken):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = []
    for _, encoding, body in taken:
        assert encoding in (None, "none")
        request = ExportTraceServiceRequest.FromString(body)
        found += [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
    return found


def test_requests_casts_and_steps_are_traced_without_their_inputs(home, run, collector):
    address = f"http://127.0.0.1:{collector.server_address[1]}"

    async def story():
        studio = Studio(Settings(home=home, processes=1, otlp_endpoint=address))
        await studio.open()
        transport = httpx2.ASGITransport(app=create_app(studio), client=("127.0.0.1", 4711))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8420") as client:
            body = {"tool": "text.template", "inputs": {"template": "canary"}}
            cast = (await client.post("/api/v1/casts", json=body)).json()["castId"]
            async with studio.running():
                async with asyncio.timeout(60):
                    while (await studio.casting.get(cast))["status"] == "running":
                        await asyncio.sleep(0.05)
            assert (await studio.casting.get(cast))["status"] == "completed"
        await studio.close()  # sends what is left

    run(story())
    assert {path for path, _, _ in collector.taken} == {"/v1/traces"}
    spans = {span.name: span for span in spans_of(collector.taken)}
    assert {"request", "cast", "step"} <= set(spans)
    assert spans["step"].parent_span_id == spans["cast"].span_id
    assert {each.key for each in spans["request"].attributes} == {"id", "method"}
    assert b"canary" not in b"".join(body for _, _, body in collector.taken)

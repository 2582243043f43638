"""The server process: it tells a taken port, ends in good order, survives being killed, and takes no junk."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain.errors import Unavailable
from tests.api.foundation.town import DEFINITION
from tests.mongod import free_ports

COMMAND = [sys.executable, "-c", "from cauldron.cli.app import main; main()", "serve", "--json"]


class Serving:
    """``cauldron serve`` in a process of its own."""

    def __init__(self, home, port, *more):
        self.port, self.home = port, home
        self.log = home.parent / f"server-{secrets.token_hex(4)}.log"
        environment = os.environ | {"CAULDRON_HOME": str(home), "CAULDRON_PROCESSES": "1"}
        self.process = subprocess.Popen(
            [*COMMAND, "--port", str(port), *more],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),  # a pipe that nobody reads would fill, and stop the server
            text=True,
        )

    def url(self):
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        return json.loads(line)["url"]

    def ask(self, path, body=None, method=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(body).encode() if body is not None else None,
            headers={"content-type": "application/json"} if body is not None else {},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def ended(self):
        """Exit status, and what was said on stderr."""
        self.process.communicate(timeout=60)
        return self.process.returncode, self.log.read_text()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.ended()


@pytest.fixture
def serving(home):
    """Start servers on one home; those that still run are killed at the end."""
    started = []

    def start(*more, port=None):
        made = Serving(home, port or free_ports(1)[0], *more)
        started.append(made)
        return made

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def test_a_server_prints_its_address_and_ends_in_good_order(serving):
    server = serving()
    assert server.url() == f"http://127.0.0.1:{server.port}"
    assert server.ask("/readyz")["ready"] is True
    code, err = server.end()
    assert code == 0, err
    assert "closed" in err
    assert "Traceback" not in err


def test_a_taken_port_is_one_clear_line(serving):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = serving(port=taken.getsockname()[1])
        code, err = server.ended()
    assert code == 1
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert "is taken" in lines[0]


def test_nobody_is_let_in_before_there_is_an_owner(serving):
    server = serving("--host", "0.0.0.0")
    code, err = server.ended()
    assert code == 1
    assert "no owner yet" in err


def test_a_killed_server_goes_on_with_the_cook_and_makes_each_piece_once(serving):
    server = serving()
    server.url()
    definition = DEFINITION | {"supply": 400}
    definition["categories"] = [
        *DEFINITION["categories"],
        {"name": "Number", "range": {"from": 1, "to": 5000}},
    ]
    collection = server.ask("/api/v1/collections", {"definition": definition})["collectionId"]
    cook = server.ask(f"/api/v1/collections/{collection}/cook/start", {})["cookId"]
    made = 0
    for _ in range(2):
        start = time.monotonic()
        while time.monotonic() - start < 20:
            now = server.ask(f"/api/v1/cooks/{cook}/status")["generationCount"]
            if now > made:
                made = now
                break
        server.end(signal.SIGKILL)
        server = serving(port=server.port)
        server.url()
    start = time.monotonic()
    while (status := server.ask(f"/api/v1/cooks/{cook}/status"))["state"] != "Completed":
        assert time.monotonic() - start < 60, status
        time.sleep(0.1)
    assert (status["generationCount"], status["failed"]) == (400, 0)
    assert server.end()[0] == 0


def test_a_stream_is_told_goodbye_and_the_worker_finishes_what_it_began(serving):
    server = serving()
    server.url()
    collection = server.ask("/api/v1/collections", {"definition": DEFINITION})["collectionId"]
    cook = server.ask(f"/api/v1/collections/{collection}/cook/start", {})["cookId"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as stream:
        stream.sendall(
            f"GET /api/v1/cooks/{cook}/stream HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        )
        assert b"200 OK" in stream.recv(65536)
        code, err = server.end()
        rest = b""
        while chunk := stream.recv(65536):
            rest += chunk
    assert code == 0, err
    assert b"event: goodbye" in rest


UPGRADE = (
    b"Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
JUNK = [
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / ",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\x00\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000,
    b"GET /" + b"x" * 100_000,
    b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /nowhere HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n",
    b"GET /nowhere HTTP/1.1\r\n" + UPGRADE,
    b"GET /api/v1/ws?token=canary HTTP/1.1\r\nOrigin: https://evil.example\r\n" + UPGRADE,
    b"GET /api/v1/ws?token=canary HTTP/1.1\r\nAuthorization: Bearer ck_canary\r\n" + UPGRADE,
]


def test_junk_is_refused_and_the_next_request_answered(serving):
    server = serving("--no-workers")
    server.url()
    for junk in JUNK:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as peer:
            peer.sendall(junk)
            said = b""
            try:
                while chunk := peer.recv(65536):
                    said += chunk
            except ConnectionResetError:
                pass
        assert said.count(b"HTTP/1.1 ") <= 1, (junk[:60], said)
        assert b" 200 " not in said.partition(b"\r\n")[0], (junk[:60], said)
        assert said.partition(b" ")[2][:1] in (b"4", b""), (junk[:60], said)
    assert server.ask("/healthz")["status"] == "alive"
    _, err = server.end()
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert {line["level"] for line in lines} == {"info"}, "nobody outside can fill the log with warnings"
    assert all(line["status"] for line in lines if line["event"] == "request")
    assert "canary" not in err


class _Dies:
    async def run(self):
        await asyncio.sleep(0.05)
        raise RuntimeError("planted")


def test_a_loop_that_dies_ends_whoever_runs_the_engine(home, run):
    async def story():
        studio = Studio(Settings(home=home, processes=1))
        await studio.open()
        try:
            engine = studio.engine()
            engine.beside.append(("planted", _Dies()))
            with pytest.raises(Unavailable, match="the planted stopped working"):
                async with engine.at_work():
                    await asyncio.sleep(30)
            assert engine.loops["planted"] is False
        finally:
            await studio.close()

    run(story())


def test_a_server_whose_engine_died_says_so_and_ends(home, run):
    from cauldron.api.server import Server, listen

    async def story():
        studio = Studio(Settings(home=home, processes=1))
        await studio.open()
        try:
            engine, measuring = studio.served()
            engine.beside.append(("planted", _Dies()))
            with listen("127.0.0.1", 0) as listening:
                server = Server(studio, engine, measuring, drain_s=1.0)
                with pytest.raises(Unavailable, match="planted"):
                    await server.run(listening, ready=lambda: None)
        finally:
            await studio.close()

    run(story())

"""Spans to an OpenTelemetry collector; needs the extra ``tracing``."""

# ruff: noqa: PLC0415 - the SDK is an extra, loaded where it is used

from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from cauldron.domain.errors import Invalid
from cauldron.ports.tracing import Tracer

SERVICE = "cauldron"
TRACES = "/v1/traces"  # where a collector takes spans, unless its address says otherwise


def tracer_to(endpoint: str, *, version: str) -> Tracer:
    """A tracer that sends to a collector (OTLP over HTTP).

    Raises:
        Invalid: the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        raise Invalid("spans need the extra: pip install cauldron-studio[tracing]") from missing
    address = endpoint if urlsplit(endpoint).path.strip("/") else f"{endpoint.rstrip('/')}{TRACES}"
    return _OpenTelemetry(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)), version=version)


class _OpenTelemetry:
    """Spans of one process. ``processor`` is what takes them when they end."""

    def __init__(self, processor: object, *, version: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

        resource = Resource.create({"service.name": SERVICE, "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        if isinstance(processor, SpanProcessor):
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SERVICE, version)

    def span(self, name: str, /, **attributes: str | int | float) -> AbstractContextManager[object]:
        """A span around a block; a failure in it marks it and goes on."""
        return self._tracer.start_as_current_span(name, attributes=dict(attributes))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

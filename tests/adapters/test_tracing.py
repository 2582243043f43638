"""Spans: one for a request, a piece and each of its steps, in one another; nothing without a collector."""

import pytest

from cauldron.adapters.tracing import _OpenTelemetry
from cauldron.ports.tracing import Untraced

sdk = pytest.importorskip("opentelemetry.sdk.trace.export", reason="the extra tracing is not installed")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")


def test_spans_stand_in_one_another_with_their_attributes():
    exporter = memory.InMemorySpanExporter()
    tracer = _OpenTelemetry(sdk.SimpleSpanProcessor(exporter), version="1")
    with tracer.span("piece", job="c.1", attempt=1), tracer.span("step", tool="text.card"):
        pass
    step, piece = exporter.get_finished_spans()
    assert (piece.name, dict(piece.attributes)) == ("piece", {"job": "c.1", "attempt": 1})
    assert (step.name, step.parent.span_id) == ("step", piece.context.span_id)
    tracer.close()


def test_a_failure_goes_on_and_marks_its_span():
    exporter = memory.InMemorySpanExporter()
    tracer = _OpenTelemetry(sdk.SimpleSpanProcessor(exporter), version="1")
    with pytest.raises(ValueError, match="no"), tracer.span("step"):
        raise ValueError("no")
    [step] = exporter.get_finished_spans()
    assert not step.status.is_ok


def test_without_a_collector_nothing_happens():
    with Untraced().span("step", tool="x"):
        pass
    Untraced().close()

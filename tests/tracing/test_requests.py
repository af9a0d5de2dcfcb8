"""The span of a request, and the trace that it continues."""

import re

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from service.tracing.otlp import OtlpTracing
from tests.tracing.conftest import Spans

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"
ENDED: dict[str, str | int] = {
    "http.request.method": "POST",
    "http.route": "/v1/sentiment",
    "http.response.status_code": 200,
}


def test_a_trace_that_a_client_began_goes_on(tracing: OtlpTracing, spans: Spans) -> None:
    trace = tracing.requests.begin("POST", PARENT)
    trace.ended(**ENDED)
    span = spans.one("POST /v1/sentiment")
    assert span.kind is SpanKind.SERVER
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert trace.trace_id == TRACE
    assert span.context is not None
    assert trace.traceparent == f"00-{TRACE}-{span.context.span_id:016x}-01".encode()
    assert span.attributes is not None
    assert dict(span.attributes) == ENDED


@pytest.mark.parametrize("given", [None, b"", b"rubbish", b"00-" + b"0" * 32 + b"-b7-01", b"\xff"])
def test_without_a_sound_header_a_trace_begins(
    given: bytes | None, tracing: OtlpTracing, spans: Spans
) -> None:
    trace = tracing.requests.begin("GET", given)
    trace.ended()
    assert spans.one("GET").parent is None
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", trace.traceparent)
    assert trace.trace_id.encode() == trace.traceparent[3:35]


def test_what_the_client_does_not_sample_is_continued_but_neither_drawn_nor_named(
    tracing: OtlpTracing, spans: Spans
) -> None:
    trace = tracing.requests.begin("POST", PARENT[:-2] + b"00")
    trace.ended(**ENDED)
    assert spans.exporter.get_finished_spans() == ()
    assert trace.trace_id == ""
    assert trace.traceparent.startswith(b"00-" + TRACE.encode())
    assert trace.traceparent.endswith(b"-00")


@pytest.mark.parametrize(
    ("status", "code"), [(200, StatusCode.UNSET), (429, StatusCode.UNSET), (500, StatusCode.ERROR)]
)
def test_only_our_own_mistakes_are_errors(
    status: int, code: StatusCode, tracing: OtlpTracing, spans: Spans
) -> None:
    attributes = ENDED | {"http.response.status_code": status}
    tracing.requests.begin("POST", None).ended(**attributes)
    assert spans.one("POST /v1/sentiment").status.status_code is code


def test_spans_tell_who_drew_them(tracing: OtlpTracing, spans: Spans) -> None:
    tracing.requests.begin("GET", None).ended()
    found = spans.one("GET").resource.attributes
    assert (found["service.name"], found["service.version"]) == ("slipway", "1.2.3")


def test_the_variables_of_opentelemetry_have_the_last_word(
    spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "reviews")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    tracing = OtlpTracing(SimpleSpanProcessor(spans.exporter), "1.2.3")
    tracing.requests.begin("GET", None).ended()
    assert spans.exporter.get_finished_spans() == ()
    tracing.requests.begin("GET", PARENT).ended()
    assert spans.one("GET").resource.attributes["service.name"] == "reviews"

"""The span of a request: W3C traceparent in, traceparent out."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

NAME = "slipway"
OUR_MISTAKE = 500  # and above, as OpenTelemetry's conventions for servers have it

_propagator = TraceContextTextMapPropagator()


class OtelRequest:
    """See `RequestTrace`; also where spans of the queue and links of batches point to."""

    __slots__ = ("_span", "context")

    def __init__(self, span: Span) -> None:
        self._span = span
        self.context: SpanContext = span.get_span_context()

    @property
    def trace_id(self) -> str:
        """See `RequestTrace`."""
        return f"{self.context.trace_id:032x}" if self.context.trace_flags.sampled else ""

    @property
    def traceparent(self) -> bytes:
        """See `RequestTrace`."""
        found = self.context
        return b"00-%032x-%016x-%02x" % (found.trace_id, found.span_id, found.trace_flags)

    def ended(self, **attributes: str | int) -> None:
        """See `RequestTrace`."""
        span = self._span
        if not span.is_recording():
            return
        route, status = attributes.get("http.route"), attributes.get("http.response.status_code", 0)
        if route:
            span.update_name(f"{attributes.get('http.request.method', '')} {route}".strip())
        span.set_attributes(attributes)
        if int(status) >= OUR_MISTAKE:
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class OtelRequests:
    """See `RequestTracer`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer(NAME)

    def begin(self, method: str, traceparent: bytes | None) -> OtelRequest:
        """See `RequestTracer`."""
        carrier = {} if traceparent is None else {"traceparent": traceparent.decode("latin-1")}
        return OtelRequest(
            self._tracer.start_span(
                method, context=_propagator.extract(carrier), kind=SpanKind.SERVER
            )
        )

    def joined(self, traceparent: bytes) -> OtelRequest:
        """See `RequestTracer`."""
        context = _propagator.extract({"traceparent": traceparent.decode("latin-1")})
        return OtelRequest(get_current_span(context))

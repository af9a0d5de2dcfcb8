"""What is being served, for whoever writes a log line or starts a span meanwhile."""

from contextvars import ContextVar
from typing import Protocol


class RequestTrace(Protocol):
    """The trace of one request, from its first byte to its last."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty where this request was not sampled."""
        ...

    @property
    def traceparent(self) -> bytes:
        """W3C's header for the answer: where in which trace this request stands."""
        ...

    def ended(self, **attributes: str | int) -> None:
        """The request has its answer; `attributes` tell about it."""
        ...


class RequestTracer(Protocol):
    """Begins traces, or continues those that a client began."""

    def begin(self, method: str, traceparent: bytes | None) -> RequestTrace:
        """A request came, with this header if it had one."""
        ...


# Part of every log record that is written meanwhile.
request_id: ContextVar[str] = ContextVar("request_id", default="")
request_trace: ContextVar[RequestTrace | None] = ContextVar("request_trace", default=None)

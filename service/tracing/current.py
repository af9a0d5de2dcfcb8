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

    def joined(self, traceparent: bytes) -> RequestTrace:
        """The trace of a request that another process began and will end."""
        ...


class ServedRequest(Protocol):
    """A request as far as others than the HTTP side may see it."""

    @property
    def request_id(self) -> bytes:
        """What client and log call it."""
        ...

    @property
    def trace(self) -> RequestTrace | None:
        """Its trace; None where tracing is off."""
        ...


served: ContextVar[ServedRequest | None] = ContextVar("served", default=None)

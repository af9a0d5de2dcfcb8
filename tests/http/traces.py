"""Traces that remember what they were told."""

from service.tracing.current import RequestTrace


class Trace:
    """Remembers how its request ended."""

    def __init__(self, method: str, given: bytes | None) -> None:
        self.began = (method, given)
        self.attributes: dict[str, str | int] = {}

    trace_id = "0af7651916cd43dd8448eb211c80319c"
    traceparent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def ended(self, **attributes: str | int) -> None:
        self.attributes = attributes


class Tracer:
    """Begins traces and keeps them."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []

    def begin(self, method: str, traceparent: bytes | None) -> RequestTrace:
        self.traces.append(Trace(method, traceparent))
        return self.traces[-1]

    def joined(self, traceparent: bytes) -> RequestTrace:
        return self.begin("", traceparent)

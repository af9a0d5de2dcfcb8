"""The door to tracing, which is all that is imported where it is off."""

from __future__ import annotations

from typing import Protocol

from service.metrics import ModelMetrics
from service.metrics.model import ModelFamilies
from service.tracing.current import RequestTracer

MISSING = (
    "--tracing-endpoint is given, but tracing is not installed ({name} is missing): "
    "docs/compose.md#tracing says how; or leave the endpoint out"
)


class Tracing(Protocol):
    """Tracing that is on."""

    @property
    def requests(self) -> RequestTracer:
        """Begins the trace of each request."""
        ...

    def model_metrics(self, families: ModelFamilies, name: str, version: str) -> ModelMetrics:
        """What a model reports to, in the place of plain metrics."""
        ...

    def close(self, timeout_s: float) -> None:
        """Send what is left, for `timeout_s` at most; blocks."""
        ...


class TracingUnavailable(Exception):
    """Tracing is asked for and not installed; the message says what to do."""


def start_tracing(endpoint: str, version: str) -> Tracing | None:
    """Tracing to this OTLP receiver; None without one. Raises TracingUnavailable."""
    if not endpoint:
        return None
    try:
        from service.tracing.otlp import open_tracing
    except ModuleNotFoundError as error:
        raise TracingUnavailable(MISSING.format(name=error.name)) from error
    return open_tracing(endpoint, version)

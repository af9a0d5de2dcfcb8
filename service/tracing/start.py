"""The door to tracing, which is all that is imported where it is off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.tracing.otlp import Tracing

MISSING = (
    "--tracing-endpoint is given, but tracing is not installed ({name} is missing): "
    "pip install 'slipway[tracing]', or leave the endpoint out"
)


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

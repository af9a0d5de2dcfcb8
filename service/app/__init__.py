"""The composition root: the only room that sees all others."""

from service.app.process import CLOSE_S, ENGINE_SEAT, serve, serve_seat
from service.app.sources import StartFailed

__all__ = ["CLOSE_S", "ENGINE_SEAT", "StartFailed", "serve", "serve_seat"]

"""The composition root: the only room that sees all others."""

from service.app.parts import StartFailed
from service.app.process import CLOSE_S, serve, serve_seat

__all__ = ["CLOSE_S", "StartFailed", "serve", "serve_seat"]

"""What an orchestrator asks: /livez, /readyz, /metrics."""

import asyncio
from typing import Any, Protocol

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.http.openapi import PROBLEM
from service.metrics import Metrics
from service.repository.models import Models


class Outlook(Protocol):
    """What the probes see: one process, or several that stand behind one port."""

    async def require_all_ready(self) -> None:
        """Raise NotReady unless traffic may come."""

    async def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page of metrics and its content type."""


class OneProcess:
    """This process alone."""

    def __init__(self, models: Models, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics

    async def require_all_ready(self) -> None:
        """Raise NotReady unless traffic may come."""
        self._models.lifecycle.require_ready()

    async def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page; rendering takes tens of milliseconds of pure Python."""
        return await asyncio.to_thread(self._metrics.render, accept)


def probe_routes(models: Models, outlook: Outlook) -> APIRouter:
    """The three routes."""
    router = APIRouter(tags=["operations"])

    @router.get("/livez", summary="Is the process alive?")
    async def livez() -> dict[str, str]:
        """200 as long as the event loop turns; never depends on a model."""
        return {"status": "alive"}

    @router.get("/readyz", summary="May traffic come?", responses={503: PROBLEM})
    async def readyz() -> dict[str, Any]:
        """200 when the models are loaded and warm, until the process begins to drain.

        With --no-strict one live model is enough; `broken` names those that could not be loaded.
        """
        await outlook.require_all_ready()
        return {
            "status": "ready",
            "models": [f"{live.name}/{live.version}" for live in models.live],
            "broken": [f"{broken.name}/{broken.version}" for broken in models.broken],
        }

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def scrape(request: Request) -> Response:
        """Every series, in the format that Prometheus asks for."""
        page, content_type = await outlook.render(request.headers.get("accept", ""))
        return Response(page, headers={"content-type": content_type})

    return router

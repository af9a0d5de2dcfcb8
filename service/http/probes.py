"""What an orchestrator asks: /livez, /readyz, /metrics."""

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.http.openapi import PROBLEM
from service.metrics import Metrics
from service.repository.models import Models


def probe_routes(models: Models, metrics: Metrics) -> APIRouter:
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
        models.lifecycle.require_ready()
        return {
            "status": "ready",
            "models": [f"{live.name}/{live.version}" for live in models.live],
            "broken": [f"{broken.name}/{broken.version}" for broken in models.broken],
        }

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def scrape(request: Request) -> Response:
        """Every series, in the format that Prometheus asks for."""
        # Rendering takes tens of milliseconds of pure Python.
        accept = request.headers.get("accept", "")
        page, content_type = await asyncio.to_thread(metrics.render, accept)
        return Response(page, headers={"content-type": content_type})

    return router

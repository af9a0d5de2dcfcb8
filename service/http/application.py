"""Puts the routes together into one ASGI application with the edge around it."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.http.asgi import exchange_of
from service.http.docs import render_docs
from service.http.edge import Edge, Endpoint, Watching
from service.http.inventory import Inventory, OwnInventory, model_routes
from service.http.limits import Limits
from service.http.native import ItemLimits, NativeApi
from service.http.openapi import (
    CLASSIFY_EXAMPLE,
    EVENTS,
    SENTIMENT_EXAMPLE,
    TRANSLATE_EXAMPLE,
    add_schemas,
    answers,
    image_call,
    json_call,
)
from service.http.probes import OneProcess, Outlook, probe_routes
from service.http.schemas import (
    ClassifyAnswer,
    SentimentAnswer,
    SentimentCall,
    TranslateAnswer,
    TranslateCall,
)
from service.metrics import Metrics
from service.repository.models import Models

CLASSIFY, SENTIMENT, TRANSLATE = "/v1/classify", "/v1/sentiment", "/v1/translate"
JSON_TYPE = "application/json"
TITLE = "Slipway"
DESCRIPTION = (
    "Image classification, sentiment and translation by published models. Errors are problem "
    "details (RFC 9457) that say what to do."
)

# FastAPI would look for OpenTelemetry exporters in the environment and send to them by itself.
NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}


def make_application(  # noqa: PLR0913  # the one call that puts all of it together
    models: Models,
    metrics: Metrics,
    *,
    limits: Limits,
    item_limits: ItemLimits,
    timeout_s: float,
    version: str,
    watching: Watching | None = None,
    outlook: Outlook | None = None,
    inventory: Inventory | None = None,
) -> Edge:
    """The whole HTTP side over these models. `timeout_s` is the longest deadline of a request."""
    api = NativeApi(models, limits=item_limits, timeout_s=timeout_s)
    app = FastAPI(
        title=TITLE,
        version=version,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
        exception_handlers=dict.fromkeys(
            (HTTPException, RequestValidationError, Exception), _leave_to_the_edge
        ),
    )
    app.include_router(native_routes(api))
    app.include_router(model_routes(models, inventory or OwnInventory(models)))
    app.include_router(probe_routes(models, outlook or OneProcess(models, metrics)))
    _add_docs(app)
    direct: dict[tuple[str, str], Endpoint] = {
        ("POST", CLASSIFY): api.classify,
        ("POST", SENTIMENT): api.sentiment,
        ("POST", TRANSLATE): api.translate,
    }
    doors = {
        ("POST", CLASSIFY): api.door("image-classification"),
        ("POST", SENTIMENT): api.door("text-classification"),
        ("POST", TRANSLATE): api.door("translation"),
    }
    for _, path in direct:
        metrics.requests_expected(path)
    return Edge(
        app,
        direct=direct,
        limits=limits,
        metrics=metrics,
        watching=watching,
        doors=doors,
    )


async def _leave_to_the_edge(request: Request, error: Exception) -> Response:
    raise error  # one place turns errors into answers


def native_routes(api: NativeApi) -> APIRouter:
    """The native API with its documentation."""
    router = APIRouter(tags=["inference"])

    def add(path: str, endpoint: Endpoint, **documentation: Any) -> None:
        async def answer(request: Request) -> Response:
            return Response(await endpoint(exchange_of(request.scope)), media_type=JSON_TYPE)

        answer.__doc__ = endpoint.__doc__
        router.add_api_route(
            path,
            answer,
            name=path.rpartition("/")[2],
            methods=["POST"],
            response_class=Response,
            **documentation,
        )

    add(
        CLASSIFY,
        api.classify,
        summary="Classify images",
        responses=answers(ClassifyAnswer, CLASSIFY_EXAMPLE),
        openapi_extra=image_call(),
    )
    add(
        SENTIMENT,
        api.sentiment,
        summary="Classify the sentiment of texts",
        responses=answers(SentimentAnswer, SENTIMENT_EXAMPLE),
        openapi_extra=json_call(
            SentimentCall,
            {
                "one": {"text": "A film that I will not forget."},
                "several": {"text": ["Great!", "Two hours that nobody gives me back."]},
            },
        ),
    )
    add(
        TRANSLATE,
        api.translate,
        summary="Translate texts",
        responses=answers(TranslateAnswer, TRANSLATE_EXAMPLE, **EVENTS),
        openapi_extra=json_call(
            TranslateCall,
            {
                "one": {"text": "A dog runs.", "source": "en", "target": "de"},
                "stream": {"text": "A dog runs across the street.", "stream": True},
                "beam": {"text": ["Good morning!", "Where is the station?"], "beam": 4},
            },
        ),
    )
    return router


def _add_docs(app: FastAPI) -> None:
    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            app.openapi_schema = add_schemas(document)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(render_docs(describe(), str(request.base_url).rstrip("/")))

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")

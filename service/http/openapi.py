"""What /openapi.json says about bodies that the routes read themselves: schemas and examples."""

from typing import Any

from pydantic import BaseModel

from service.http.schemas import (
    ClassifyAnswer,
    ClassifyCall,
    ProblemAnswer,
    SentimentAnswer,
    SentimentCall,
    TranslateAnswer,
    TranslateCall,
)

PROBLEM_TYPE = "application/problem+json"
REF = "#/components/schemas/{model}"
Json = dict[str, Any]

PROBLEM_EXAMPLE: Json = {
    "type": "urn:slipway:problem:overloaded",
    "title": "Too many requests are waiting",
    "status": 429,
    "detail": "The queue of cifar10-resnet is full; try again in 1 s.",
    "request_id": "4be2c9d16a70-2f",
}
PROBLEM: Json = {
    "description": "What went wrong and what to do about it (RFC 9457)",
    "content": {
        PROBLEM_TYPE: {
            "schema": {"$ref": REF.format(model=ProblemAnswer.__name__)},
            "example": PROBLEM_EXAMPLE,
        }
    },
}
CLASSIFY_EXAMPLE: Json = {
    "model": "cifar10-resnet",
    "version": "1",
    "variant": "int8",
    "results": [
        {
            "label": "cat",
            "score": 0.98,
            "top": [{"label": "cat", "score": 0.98}, {"label": "dog", "score": 0.01}],
            "uncertain": False,
        }
    ],
}
SENTIMENT_EXAMPLE: Json = {
    "model": "reviews-lstm",
    "version": "1",
    "variant": "int8",
    "results": [
        {
            "label": "positive",
            "score": 0.97,
            "scores": {"negative": 0.03, "positive": 0.97},
            "truncated": False,
            "uncertain": False,
        }
    ],
}
TRANSLATE_EXAMPLE: Json = {
    "model": "en-de-transformer",
    "version": "1",
    "variant": "int8",
    "results": [
        {
            "text": "Ein Hund läuft.",
            "source": "en",
            "target": "de",
            "score": -0.31,
            "truncated": False,
            "quality": 0.71,
        }
    ],
}
EVENTS: Json = {
    "text/event-stream": {
        "schema": {
            "type": "string",
            "description": "For `stream: true`. `progress` events have the `index` of a text and "
            "all of its translation that is known, and may be left out for a slow reader. The last "
            "event is `result`, the JSON of the plain answer, or `error`, problem details.",
        },
        "example": 'event: progress\ndata: {"index":0,"text":"Ein Hund"}\n\n'
        'event: result\ndata: {"model":"en-de-transformer", ...}\n\n',
    }
}
SCHEMAS: tuple[type[BaseModel], ...] = (
    ClassifyCall,
    ClassifyAnswer,
    SentimentCall,
    SentimentAnswer,
    TranslateCall,
    TranslateAnswer,
    ProblemAnswer,
)
MODEL_QUERY: tuple[Json, ...] = (
    {
        "name": "model",
        "in": "query",
        "schema": {"type": "string"},
        "description": "Default: the default model of the task.",
    },
    {
        "name": "version",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1},
        "description": "Default: the newest live version.",
    },
)
REQUEST_HEADERS: tuple[Json, ...] = (
    {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "schema": {"type": "integer"},
        "description": "How long you wait; 504 after that. The server's own deadline is the most.",
    },
    {
        "name": "X-Priority",
        "in": "header",
        "schema": {"type": "string", "enum": ["interactive", "bulk"], "default": "interactive"},
        "description": "bulk: work that may wait; it goes after what people wait for.",
    },
    {
        "name": "X-Request-Id",
        "in": "header",
        "schema": {"type": "string"},
        "description": "Comes back with the answer and stands in the logs.",
    },
)
TOP_K_QUERY: Json = {
    "name": "top_k",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 5},
    "description": "How many labels to list.",
}


def answers(schema: type[BaseModel], example: Json, **others: Json) -> dict[int | str, Json]:
    """All responses of an inference route; `others` are further forms of the good one."""
    good = {"schema": {"$ref": REF.format(model=schema.__name__)}, "example": example}
    failures = (404, 408, 413, 415, 422, 429, 500, 503, 504)
    return {
        200: {
            "description": "One result per item, in order",
            "content": {"application/json": good, **others},
        },
        **{status: PROBLEM for status in failures},
    }


def json_call(schema: type[BaseModel], examples: Json) -> Json:
    """The request part of a route that takes JSON."""
    content = {
        "application/json": {
            "schema": {"$ref": REF.format(model=schema.__name__)},
            "examples": {name: {"value": value} for name, value in examples.items()},
        }
    }
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [*MODEL_QUERY, *REQUEST_HEADERS],
    }


def image_call() -> Json:
    """The request part of /v1/classify, which takes images in three ways."""
    raw = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "top_k": {"type": "integer"},
        },
    }
    content = {
        "image/jpeg": raw,
        "image/png": raw,
        "image/webp": raw,
        "application/octet-stream": raw,
        "multipart/form-data": {"schema": form},
        "application/json": {
            "schema": {"$ref": REF.format(model=ClassifyCall.__name__)},
            "examples": {"base64": {"value": {"images": ["iVBORw0KGgo..."], "top_k": 3}}},
        },
    }
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [TOP_K_QUERY, *MODEL_QUERY, *REQUEST_HEADERS],
    }


def add_schemas(document: Json) -> Json:
    """Put the schemas that the routes refer to into an OpenAPI document."""
    known = document.setdefault("components", {}).setdefault("schemas", {})
    for schema in SCHEMAS:
        described = schema.model_json_schema(ref_template=REF)
        for name, nested in described.pop("$defs", {}).items():
            known.setdefault(name, nested)
        known[schema.__name__] = described
    return document

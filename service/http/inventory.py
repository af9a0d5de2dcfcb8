"""GET /v1/models: what is live, on what it really runs, and why it may be trusted."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from fastapi import APIRouter

from service.errors import UnknownModel
from service.http.openapi import PROBLEM
from service.repository.latency import describe as describe_latency
from service.repository.live import LiveModel
from service.repository.models import BrokenModel, Models
from service.repository.self_test import SelfTestReport

AS_PUBLISHED = "as published"
WRITTEN_ANEW = "large convolutions as products of matrices, by AMX"


class Inventory(Protocol):
    """Who knows the live versions: this process, or the engine behind it."""

    async def versions(self) -> list[dict[str, Any]]:
        """Each as `describe` tells it, newest first within a name."""
        ...


class OwnInventory:
    """The versions that are loaded in this process."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def versions(self) -> list[dict[str, Any]]:
        """See `Inventory`."""
        return describe_all(self._models)


def model_routes(models: Models, inventory: Inventory) -> APIRouter:
    """The two routes."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/models", summary="All live models")
    async def list_models() -> dict[str, Any]:
        """Every live version, newest first within a name, and what could not be loaded."""
        return {
            "models": await inventory.versions(),
            "broken": [_describe_broken(broken) for broken in models.broken],
        }

    @router.get("/v1/models/{name}", summary="One model", responses={404: PROBLEM})
    async def get_model(name: str) -> dict[str, Any]:
        """Every live version of this model."""
        live = [model for model in await inventory.versions() if model["name"] == name]
        broken = [_describe_broken(found) for found in models.broken if found.name == name]
        if not live and not broken:
            raise UnknownModel(f"No model has this name; live are {models.names()}.")
        return {"name": name, "versions": live, "broken": broken}

    return router


def describe_all(models: Models) -> list[dict[str, Any]]:
    """All that are loaded in this process."""
    return [describe(live, models) for live in models.live if isinstance(live, LiveModel)]


def describe(live: LiveModel, models: Models) -> dict[str, Any]:
    """One live version."""
    manifest = live.manifest
    return {
        "name": live.name,
        "version": live.version,
        "task": manifest.task,
        "default": models.is_default(live),
        "description": manifest.description,
        "labels": list(manifest.labels),
        "variant": live.variant,
        "providers": dict(live.placement),
        "graph": WRITTEN_ANEW if live.written_anew else AS_PUBLISHED,
        "self_test": _self_test(live.self_tests),
        "preprocessing": manifest.preprocessing.model_dump(mode="json"),
        "batching": "continuous" if live.batcher.is_continuous else "dynamic",
        "limits": manifest.limits.model_dump(mode="json", exclude_none=True),
        "latency": describe_latency(manifest, live.batcher),
        "variants": [
            {
                "precision": variant.precision,
                "providers": list(variant.providers),
                "needs": list(variant.needs),
                "bytes": sum(graph.bytes for graph in variant.graphs),
                "self_test": variant.self_test is not None,
                "evidence": variant.evidence.model_dump(mode="json", exclude_none=True),
            }
            for variant in manifest.variants
        ],
    }


def _self_test(reports: Sequence[SelfTestReport]) -> dict[str, Any]:
    """Whether the variant that serves was tested here, and which others were refused before it."""
    told = [asdict(report) for report in reports]
    served = told[-1] if told else {"outcome": "none", "reason": "no self-test"}
    return {"outcome": served["outcome"], "reason": served["reason"], "refused": told[:-1]}


def _describe_broken(broken: BrokenModel) -> dict[str, str]:
    return {"name": broken.name, "version": broken.version, "reason": broken.reason}

"""Requests that wait long enough, and a batcher that is busy with one of them."""

import asyncio
from collections.abc import Callable
from typing import Any

from service.batching.batcher import Batcher
from tests.batching.doubles import GatedRunner

MakeBatcher = Callable[..., Batcher[int, Any]]

FAR = 1e6


def submitted(batcher: Batcher[int, Any], *parts: int, **how: Any) -> list[asyncio.Task[Any]]:
    how = {"deadline": FAR} | how
    return [asyncio.create_task(batcher.submit(part, **how)) for part in parts]


async def busy(batcher: Batcher[int, Any], runner: GatedRunner) -> list[asyncio.Task[Any]]:
    tasks = submitted(batcher, 0)
    await runner.entered()
    return tasks

"""Full queues, late answers and clients that leave, with a model that the test can hold."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.batching.batcher import Batcher
from service.batching.policy import BatchPolicy
from service.http.limits import Limits
from service.http.server import listen, make_server
from service.metrics import Metrics
from service.repository.lifecycle import Lifecycle
from service.repository.models import Models
from tests.http.asgi import Conversation
from tests.integration.conftest import App, make_app
from tests.tiny_zoo import TEXTS

pytestmark = pytest.mark.anyio


class Gate:
    """Answers texts as the real model does, but only once it is opened."""

    def __init__(self, live: Any) -> None:
        self._live = live
        self.entered = threading.Event()
        self.open = threading.Event()
        self.ran: list[str] = []

    def predict_batch(self, parts: Sequence[str]) -> list[Any]:
        self.entered.set()
        assert self.open.wait(timeout=30)
        self.ran += parts
        task = self._live.task
        features = [task.preprocess(part) for part in parts]
        rows = self._live.runner.run(features)
        return [task.postprocess(f, row) for f, row in zip(features, rows, strict=True)]


class Held:
    """An application whose only model waits for its gate."""

    def __init__(self, app: App, gate: Gate, queue: Batcher[Any, Any]) -> None:
        self.app = app
        self.gate = gate
        self.queue = queue

    def ask(self, text: str, **headers: str) -> "asyncio.Task[httpx.Response]":
        return asyncio.create_task(
            self.app.client.post("/v1/sentiment", json={"text": text}, headers=headers)
        )

    async def occupied(self) -> "asyncio.Task[httpx.Response]":
        """A request that is being computed until the gate opens."""
        first = self.ask("first")
        await asyncio.to_thread(self.gate.entered.wait, 30)
        return first


@pytest.fixture
async def held(app: App) -> AsyncIterator[Held]:
    live = app.models.find("text-classification", TEXTS)
    gate = Gate(live)
    registry = CollectorRegistry()
    metrics = Metrics.create(registry)
    batcher: Batcher[Any, Any] = Batcher(
        gate.predict_batch,
        BatchPolicy(max_batch_size=1, max_queue_size=4),
        observer=metrics.model(TEXTS, 1),
    )
    models = Models(Lifecycle())
    models.serve([replace(live, batcher=batcher)])
    models.lifecycle.become_ready()
    own = make_app(models, metrics, registry)
    yield Held(own, gate, batcher)
    gate.open.set()
    await own.client.aclose()
    batcher.close()
    await asyncio.to_thread(batcher.join, 10)


async def test_a_full_queue_refuses_exactly_what_does_not_fit(held: Held) -> None:
    first = await held.occupied()
    rest = [held.ask(f"text {n}") for n in range(6)]
    done, _ = await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 2:
        done, _ = await asyncio.wait(rest, timeout=0.01)
    refused = [task.result() for task in done]
    assert [answer.status_code for answer in refused] == [429, 429]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    held.gate.open.set()
    answers = [await task for task in (first, *rest)]
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 2
    assert held.app.requests("shed") == 2
    assert held.app.requests("ok") == 5


async def test_a_deadline_is_kept_though_the_model_is_busy(held: Held) -> None:
    first = await held.occupied()
    late = await held.ask("late", **{"x-request-timeout-ms": "50"})
    assert late.status_code == 504
    held.gate.open.set()
    assert (await first).status_code == 200
    assert held.gate.ran == ["first"]
    assert held.app.requests("expired") == 1


async def test_a_client_that_left_is_not_computed(held: Held) -> None:
    first = await held.occupied()
    body = b'{"text": "gone"}'
    talk = Conversation(path="/v1/sentiment", headers=[(b"content-length", b"%d" % len(body))])
    talk.body(body).leave()
    await held.app.edge(talk.scope(), talk.receive, talk.send)
    assert talk.sent == []
    held.gate.open.set()
    assert (await first).status_code == 200
    assert held.gate.ran == ["first"]
    assert held.app.requests("cancelled") == 1


async def test_a_request_is_admitted_whole_or_not_at_all(held: Held) -> None:
    first = await held.occupied()
    waiting = [held.ask(f"text {n}") for n in range(3)]
    await asyncio.sleep(0)
    answer = await held.app.client.post("/v1/sentiment", json={"text": ["a", "b"]})
    assert answer.status_code == 429
    held.gate.open.set()
    assert [(await task).status_code for task in (first, *waiting)] == [200] * 4
    assert "a" not in held.gate.ran


async def test_a_client_that_hangs_up_a_real_connection_is_not_computed(held: Held) -> None:
    server = make_server(held.app.edge, limits=Limits(), drain_s=5)
    listener = listen("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve([listener]))
    first = await held.occupied()
    body = b'{"text": "gone"}'
    _, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(
        b"POST /v1/sentiment HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    writer.write(body)
    queue = held.queue
    while not queue.depth:  # noqa: ASYNC110  # a queue has no event for it
        await asyncio.sleep(0.001)
    writer.close()
    while queue.depth:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    held.gate.open.set()
    assert (await first).status_code == 200
    assert held.gate.ran == ["first"]
    assert held.app.requests("cancelled") == 1
    server.stop()
    await serving


async def test_a_body_is_not_even_read_when_nothing_can_be_let_in(held: Held) -> None:
    server = make_server(held.app.edge, limits=Limits(), drain_s=5)
    listener = listen("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve([listener]))
    first = await held.occupied()
    waiting = [held.ask(f"text {n}") for n in range(4)]
    queue = held.queue
    while queue.depth < 4:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    answers = []
    for target in (b"/v1/sentiment", b"/v1/sentiment?model=other"):
        writer.write(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n{no" % target)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        answers.append((int(head.split()[1]), await reader.readexactly(length)))
    # Who names a model in the query may mean another one: only the body tells what is wrong.
    assert [status for status, _ in answers] == [429, 422]
    assert b"4 items wait already and 4 may" in answers[0][1]
    assert held.app.requests("shed") == 1
    writer.close()
    held.gate.open.set()
    assert [(await task).status_code for task in (first, *waiting)] == [200] * 5
    server.stop()
    await serving

"""Who serves what: log lines and spans are those of the request that is being worked on."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from service.http.edge import Edge, Watching
from service.http.exchange import Exchange
from service.http.limits import Limits
from service.http.server import listen, make_server
from service.metrics import Metrics
from service.tracing.current import served
from tests.http.traces import Trace, Tracer

pytestmark = pytest.mark.anyio

LIMITS = Limits(body_bytes=1000)


class Site:
    """/meet and the rest wait for each other, and tell whom they serve before and after."""

    def __init__(self) -> None:
        self.tracer = Tracer()
        self.registry = CollectorRegistry()
        self.answers: list[httpx.Response] = []
        self.met = asyncio.Event()
        self.seen: dict[bytes, list[str]] = {}
        edge = Edge(
            self._application,
            direct={("POST", "/meet"): self._meet},
            limits=LIMITS,
            metrics=Metrics.create(self.registry),
            watching=Watching(tracer=self.tracer),
        )
        self.server = make_server(edge, limits=LIMITS, drain_s=1)

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._look(b"by ASGI")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def _meet(self, exchange: Exchange) -> bytes:
        exchange.model, exchange.version, exchange.items = "m", "1", 2
        await self._look(await exchange.body())
        return b"{}"

    async def _look(self, who: bytes) -> None:
        self.seen[who] = [self._served()]
        if len(self.seen) == 3:
            self.met.set()
        await self.met.wait()
        self.seen[who].append(self._served())

    def _served(self) -> str:
        request = served.get()
        return request.request_id.decode() if request is not None else "nobody"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    listener = listen("127.0.0.1", 0)
    running = asyncio.create_task(site.server.serve([listener]))
    host, port = listener.getsockname()
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        site.answers[:] = await asyncio.gather(
            client.post("/meet", content=b"one", headers={"X-Request-Id": "1"}),
            client.post("/meet", content=b"two", headers={"X-Request-Id": "2"}),
            client.get("/other", headers={"X-Request-Id": "3", "traceparent": "given"}),
        )
    yield site
    site.server.stop()
    await running


async def test_requests_that_take_turns_are_told_apart(site: Site) -> None:
    assert site.seen == {b"one": ["1", "1"], b"two": ["2", "2"], b"by ASGI": ["3", "3"]}
    assert served.get() is None


async def test_both_ways_begin_and_end_a_trace_and_sign_with_it(site: Site) -> None:
    begun = sorted(trace.began for trace in site.tracer.traces)
    assert begun == [("GET", b"given"), ("POST", None), ("POST", None)]
    assert {answer.headers["traceparent"] for answer in site.answers} == {
        Trace.traceparent.decode()
    }
    (one,) = [t for t in site.tracer.traces if t.attributes["slipway.request_id"] == "1"]
    assert one.attributes == {
        "http.request.method": "POST",
        "http.route": "/meet",
        "http.response.status_code": 200,
        "slipway.outcome": "ok",
        "slipway.request_id": "1",
        "slipway.model": "m",
        "slipway.version": "1",
        "slipway.items": 2,
    }


async def test_a_slow_request_leads_to_its_trace(site: Site) -> None:
    (family,) = site.registry.restricted_registry(
        ["slipway_request_duration_seconds_bucket"]
    ).collect()
    exemplars = [sample.exemplar for sample in family.samples if sample.exemplar is not None]
    assert {exemplar.labels["trace_id"] for exemplar in exemplars} == {Trace.trace_id}

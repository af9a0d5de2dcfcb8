"""A front end and its engine: who asks, who answers, and what happens when one of them goes."""

import asyncio
import time
from typing import Any

import pytest

from service.errors import (
    DeadlineExceeded,
    InferenceFailed,
    NotReady,
    Overloaded,
    UnknownModel,
)
from service.link import front as front_end
from service.link.engine import AskedFor
from service.link.frames import Message, Payload
from service.link.front import EngineAway, Told
from service.repository.models import BrokenModel
from service.tasks.sentiment import SentimentPrediction
from service.tracing.current import served
from tests import tiny_zoo
from tests.http.site import until
from tests.http.traces import Trace, Tracer
from tests.link.conftest import Engine, Front, Site

pytestmark = pytest.mark.anyio

Met = tuple[Engine, Front, Told]


def feeling(score: float) -> SentimentPrediction:
    scores = {"negative": 1 - score, "positive": score}
    return SentimentPrediction("positive", score, scores, truncated=False, uncertain=None)


async def test_a_front_end_learns_what_is_live_and_what_is_broken(site: Site) -> None:
    broken = BrokenModel("other", "3", "A file is missing.")
    async with site.engine(broken=[broken]), site.front() as front:
        await front.meets()
        assert front.met == [([Told(tiny_zoo.TEXTS, 1, "fp32", 7)], [broken])]


async def test_answers_come_back_to_who_asked(met: Met) -> None:
    engine, front, told = met
    first, second = front.ask(told, "one", "three"), front.ask(told, "two", priority="bulk")
    held, other = await engine.queue.holds(2)
    assert (held.parts, held.costs, held.priority) == (["one", "three"], [3, 5], "interactive")
    assert (other.parts, other.costs, other.priority) == (["two"], [3], "bulk")
    other.answer.set_result([feeling(0.75)])
    assert await second == [feeling(0.75)]
    assert not first.done()
    held.answer.set_result([feeling(1.0), DeadlineExceeded("late")])
    answer, error = await first
    assert answer == feeling(1.0)
    assert isinstance(error, DeadlineExceeded)
    assert front.link.waiting == 0
    (known,) = engine.end._fronts
    await until(lambda: not known._running)  # or it would grow for ever


async def test_the_deadline_crosses_as_it_is(met: Met) -> None:
    engine, front, told = met
    before_s = time.monotonic()
    asking = front.ask(told, "one", spare_s=7.0)
    (held,) = await engine.queue.holds(1)
    assert before_s + 7.0 <= held.deadline_s <= time.monotonic() + 7.0
    held.answer.set_exception(DeadlineExceeded("The engine says so."))
    with pytest.raises(DeadlineExceeded, match="The engine says so"):
        await asking


async def test_what_was_answered_leaves_nothing_behind(
    met: Met, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, front, told = met
    sent: list[str] = []
    timers: list[asyncio.TimerHandle] = []
    link, loop = front.link._link, asyncio.get_running_loop()
    assert link is not None
    send, call_later = link.send, loop.call_later

    def watched_send(message: Message, *payloads: bytes) -> None:
        sent.append(message[0])
        send(message, *payloads)

    def watched_call_later(*given: Any) -> asyncio.TimerHandle:
        timers.append(call_later(*given))
        return timers[-1]

    monkeypatch.setattr(link, "send", watched_send)
    monkeypatch.setattr(loop, "call_later", watched_call_later)
    asking = front.ask(told, "one", spare_s=1000.0)
    (held,) = await engine.queue.holds(1)
    held.answer.set_result([feeling(0.75)])
    await asking
    assert sent == ["ask"]  # and no "leave"
    of_call = [timer for timer in timers if timer.when() - loop.time() > 900]
    assert [timer.cancelled() for timer in of_call] == [True]


async def test_an_answer_to_who_leaves_in_that_moment_is_for_nobody(met: Met) -> None:
    engine, front, told = met
    asking = front.ask(told, "one")
    await engine.queue.holds(1)
    ((number, call),) = front.link._calls.items()
    call.answer.cancel()
    front.link._took(["answers", number, [["error", "NotReady", "x"]]], Payload(b"", 0))
    front.link._took(["refused", number, ["error", "NotReady", "x"]], Payload(b"", 0))
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert front.link.waiting == 0


async def test_a_refusal_is_told_whole(met: Met) -> None:
    engine, front, told = met
    asking = front.ask(told, "one")
    (held,) = await engine.queue.holds(1)
    held.answer.set_exception(Overloaded("Too much waits.", 3.5))
    with pytest.raises(Overloaded, match="Too much waits") as refused:
        await asking
    assert refused.value.retry_after_s == 3.5


async def test_a_mistake_in_the_engine_is_logged_there_and_costs_one_call(
    met: Met, caplog: pytest.LogCaptureFixture
) -> None:
    engine, front, told = met
    asking, other = front.ask(told, "one"), front.ask(told, "two")
    held, spared = await engine.queue.holds(2)
    held.answer.set_exception(KeyError("secret"))
    spared.answer.set_result([feeling(0.75)])
    with pytest.raises(Exception, match="The model failed") as failed:
        await asking
    assert "secret" not in str(failed.value)
    assert "secret" in caplog.text
    assert await other == [feeling(0.75)]


async def test_who_leaves_takes_back_what_was_asked_and_nothing_else(met: Met) -> None:
    engine, front, told = met
    leaving, staying = front.ask(told, "one"), front.ask(told, "two")
    held, kept = await engine.queue.holds(2)
    leaving.cancel()
    await engine.queue.loses(1)
    assert held.answer.cancelled()
    assert front.link.waiting == 1
    kept.answer.set_result([feeling(0.75)])
    assert await staying == [feeling(0.75)]
    assert engine.queue.left == 1


async def test_a_front_end_that_is_lost_takes_back_all_that_it_asked(site: Site) -> None:
    async with site.engine() as engine, site.front() as staying:
        told = await staying.meets()
        kept = staying.ask(told, "kept")
        await engine.queue.holds(1)
        async with site.front() as front:
            told = await front.meets()
            lost = [front.ask(told, "one"), front.ask(told, "two")]
            await engine.queue.holds(3)
        await engine.queue.loses(2)
        assert all(
            isinstance(x, EngineAway) for x in await asyncio.gather(*lost, return_exceptions=True)
        )
        engine.queue.calls[0].answer.set_result([feeling(0.75)])
        assert await kept == [feeling(0.75)]


async def test_who_follows_hears_how_far_an_answer_is(met: Met) -> None:
    engine, front, told = met
    heard: list[tuple[int, Any]] = []
    asking = front.ask(told, "one", "two", on_progress=lambda *known: heard.append(known))
    (held,) = await engine.queue.holds(1)
    assert held.on_progress is not None
    held.on_progress(1, "par")
    held.on_progress(1, feeling(0.75))
    held.answer.set_result([feeling(1.0), feeling(0.75)])
    await asking
    assert heard == [(1, "par"), (1, feeling(0.75))]
    unfollowed = front.ask(told, "three")
    _, other = await engine.queue.holds(2)
    assert other.on_progress is None
    other.answer.set_result([feeling(0.75)])
    await unfollowed


async def test_an_engine_is_asked_for_what_people_want_to_know(met: Met) -> None:
    _, front, _ = met
    assert await front.link.describe(10.0) == [{"name": tiny_zoo.TEXTS}]


async def test_a_mistake_in_describing_ends_nothing_else(
    met: Met, caplog: pytest.LogCaptureFixture
) -> None:
    engine, front, told = met
    asking = front.ask(told, "one")
    (held,) = await engine.queue.holds(1)

    def describe() -> list[dict[str, Any]]:
        raise KeyError("secret")

    engine.end.describe = describe
    with pytest.raises(InferenceFailed):
        await front.link.describe(10.0)
    assert "secret" in caplog.text
    held.answer.set_result([feeling(0.75)])
    assert await asking == [feeling(0.75)]


async def test_a_model_that_is_not_live_any_more_is_unknown(met: Met) -> None:
    _, front, told = met
    with pytest.raises(UnknownModel):
        await front.ask(Told(told.name, 2, "fp32", 7), "one")


async def test_without_an_engine_nobody_waits(site: Site) -> None:
    async with site.front() as front:
        with pytest.raises(EngineAway) as refused:
            await front.ask(Told(tiny_zoo.TEXTS, 1, "fp32", 7), "one")
        assert isinstance(refused.value, NotReady)
        with pytest.raises(EngineAway):
            await front.link.describe(10.0)
        assert front.link.waiting == 0


async def test_an_engine_that_is_lost_is_answered_for_and_its_follower_is_found(
    site: Site,
) -> None:
    async with site.front() as front:
        async with site.engine() as engine:
            told = await front.meets()
            asking = front.ask(told, "one")
            await engine.queue.holds(1)
        with pytest.raises(EngineAway, match="send it again"):
            await asking
        assert front.link.waiting == 0
        async with site.engine() as follower:
            told = await front.meets(2)
            again = front.ask(told, "one")
            (held,) = await follower.queue.holds(1)
            held.answer.set_result([feeling(0.75)])
            assert await again == [feeling(0.75)]


async def test_an_engine_that_stands_still_does_not_hold_anybody(
    met: Met, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, front, told = met
    monkeypatch.setattr(front_end, "GRACE_S", 0.0)
    asking = front.ask(told, "one", spare_s=0.01)
    with pytest.raises(DeadlineExceeded, match="did not answer"):
        await asking
    await engine.queue.loses(1)  # and it is told
    assert front.link.waiting == 0


async def test_an_engine_that_leaves_answers_its_front_ends_first(site: Site) -> None:
    async with site.engine() as engine:
        async with site.front() as front:
            told = await front.meets()
            asking = front.ask(told, "one")
            (held,) = await engine.queue.holds(1)
            engine.end.stop()
            late = front.ask(told, "two")
            await engine.queue.holds(2)
            assert not engine.serving.done()
            for call in engine.queue.calls:
                call.answer.set_result([feeling(0.75)])
            assert await asking == await late == [feeling(0.75)]
            assert not engine.serving.done()
        await asyncio.wait_for(engine.serving, 10)
        assert held.answer.done()


async def test_an_engine_stays_as_long_as_one_of_them_does(site: Site) -> None:
    async with site.engine() as engine:
        async with site.front() as staying:
            async with site.front() as leaving:
                await leaving.meets()
                told = await staying.meets()
            engine.end.stop()
            asking = staying.ask(told, "one")
            (held,) = await engine.queue.holds(1)
            await asyncio.sleep(0.02)
            assert not engine.serving.done()
            held.answer.set_result([feeling(0.75)])
            assert await asking == [feeling(0.75)]
        await asyncio.wait_for(engine.serving, 10)


async def test_an_engine_does_not_wait_for_ever(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.engine(drain_s=0.01) as engine, site.front() as front:
        await front.meets()
        engine.end.stop()
        await asyncio.wait_for(engine.serving, 10)
        assert "front ends are still there" in caplog.text


async def test_the_engine_knows_for_which_request_it_works(site: Site) -> None:
    tracer = Tracer()
    async with site.engine(tracer=tracer) as engine, site.front() as front:
        told = await front.meets()
        before = served.set(None)
        unnamed = front.ask(told, "nobody")
        served.set(AskedFor(b"id-1", Trace("POST", None)))
        named = front.ask(told, "somebody")
        served.reset(before)
        nobody, somebody = await engine.queue.holds(2)
        assert (nobody.request_id, nobody.traced) == (b"", None)
        assert somebody.request_id == b"id-1"
        (joined,) = tracer.traces
        assert somebody.traced is joined
        assert joined.began == ("", Trace("POST", None).traceparent)
        for call in (nobody, somebody):
            call.answer.set_result([feeling(0.75)])
        await asyncio.gather(unnamed, named)

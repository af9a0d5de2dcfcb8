"""A refusal of the engine stands in a front end, for whom it is meant, until it is over."""

import asyncio

import pytest

from model_zoo.catalog import Catalog
from service.errors import InvalidInput, Overloaded, ServiceError
from service.link.doors import EngineDoor
from service.repository.live import ServedModel
from tests import tiny_zoo
from tests.http.site import until
from tests.link.conftest import Engine, Site
from tests.link.test_remote import Front, fronting

pytestmark = pytest.mark.anyio

FULL = Overloaded("Full.", 7.0)


@pytest.fixture
def door() -> EngineDoor:
    door = EngineDoor()
    door.shut("interactive", FULL, cost=10, spare_s=1.0)
    return door


@pytest.mark.parametrize(("cost", "refused"), [(9, False), (10, True), (11, True)])
def test_who_costs_no_less_is_refused(door: EngineDoor, cost: int, refused: bool) -> None:
    assert door.refusal("interactive", 1.0, lambda: cost) is (FULL if refused else None)


@pytest.mark.parametrize(("spare_s", "refused"), [(0.5, True), (1.09, True), (1.11, False)])
def test_who_has_no_more_time_is_refused(door: EngineDoor, spare_s: float, refused: bool) -> None:
    assert door.refusal("interactive", spare_s, lambda: 10) is (FULL if refused else None)


def test_another_priority_has_a_door_of_its_own(door: EngineDoor) -> None:
    assert door.refusal("bulk", 1.0, lambda: 10) is None


def test_where_all_are_refused_nobody_is_weighed(door: EngineDoor) -> None:
    def weigh() -> int:
        raise AssertionError

    door.shut("interactive", FULL, cost=1, spare_s=1.0)
    assert door.refusal("interactive", 1.0, weigh) is FULL


def test_a_refusal_tells_whom_it_is_for_until_it_is_over(door: EngineDoor) -> None:
    later = Overloaded("Full.", 7.0)
    assert door.refused_from(FULL) == 10
    assert door.refused_from(later) is None
    door.shut("interactive", later, cost=1, spare_s=1.0)
    assert (door.refused_from(FULL), door.refused_from(later)) == (None, 1)
    door.open()
    assert door.refused_from(later) is None
    assert door.refusal("interactive", 1.0, lambda: 10) is None


async def refused(live: ServedModel, *parts: str, spare_s: float = 60.0) -> ServiceError:
    """What they are told who ask the engine and are refused."""
    clock = asyncio.get_running_loop().time
    with pytest.raises(ServiceError) as told:
        await live.batcher.submit_each(parts, costs=[5] * len(parts), deadline=clock() + spare_s)
    return told.value


async def shut(
    engine: Engine, front: Front, cost: int | None = 1
) -> tuple[ServedModel, ServiceError]:
    """The one model of a front end that has just been refused something by the engine."""
    await asyncio.wait_for(front.remote.met(), 10)
    (live,) = front.models.live
    engine.queue.refusing, engine.queue.cost = FULL, cost
    return live, await refused(live, "a text")


async def test_one_refusal_of_the_engine_is_told_to_others(site: Site, catalog: Catalog) -> None:
    async with site.engine() as engine, fronting(site.path, catalog) as front:
        live, error = await shut(engine, front)
        assert isinstance(error, Overloaded)
        assert (error.detail, error.retry_after_s) == (FULL.detail, FULL.retry_after_s)
        again = live.batcher.refusal("interactive", 60.0, lambda: 5)
        assert isinstance(again, Overloaded)
        assert vars(again) == vars(error)
        assert again.__traceback__ is None  # which would keep the first one's request alive
        assert live.batcher.refuses_again(again)
        assert live.batcher.refusal("bulk", 60.0, lambda: 5) is None
        assert live.batcher.refusal("interactive", 90.0, lambda: 5) is None
        ((priority, spare_s, weighed),) = engine.queue.doors
        assert (priority, weighed) == ("interactive", 5)
        assert 50.0 < spare_s <= 60.0
        assert engine.queue.calls == []  # it got no further than to the door
        # by the front end; what the engine refused is counted there
        assert front.counted(tiny_zoo.TEXTS, "shed") == 2


async def test_a_refusal_of_bulk_is_for_bulk(site: Site, catalog: Catalog) -> None:
    async with site.engine() as engine, fronting(site.path, catalog) as front:
        await asyncio.wait_for(front.remote.met(), 10)
        (live,) = front.models.live
        engine.queue.refusing = FULL
        deadline_s = asyncio.get_running_loop().time() + 60.0
        with pytest.raises(Overloaded) as told:
            await live.batcher.submit_each(["a text"], deadline=deadline_s, priority="bulk")
        again = live.batcher.refusal("bulk", 60.0, lambda: 5)
        assert isinstance(again, Overloaded)
        assert vars(again) == vars(told.value)
        assert live.batcher.refusal("interactive", 60.0, lambda: 5) is None


async def test_a_refusal_by_cost_is_weighed_each_time(site: Site, catalog: Catalog) -> None:
    async with site.engine() as engine, fronting(site.path, catalog) as front:
        live, _ = await shut(engine, front, cost=5)
        assert live.batcher.refusal("interactive", 60.0, lambda: 4) is None
        again = live.batcher.refusal("interactive", 60.0, lambda: 5)
        assert again is not None
        assert not live.batcher.refuses_again(again)


async def test_a_refusal_that_does_not_stand_is_told_once(site: Site, catalog: Catalog) -> None:
    async with site.engine() as engine, fronting(site.path, catalog) as front:
        live, error = await shut(engine, front, cost=None)
        assert live.batcher.refusal("interactive", 60.0, lambda: 5) is None
        assert not live.batcher.refuses_again(error)


@pytest.mark.parametrize("how", ["answered", "failed", "left"])
async def test_whoever_leaves_opens_the_door(site: Site, catalog: Catalog, how: str) -> None:
    async with (
        site.engine() as engine,
        fronting(site.path, catalog) as front,
        fronting(site.path, catalog) as other,
    ):
        await asyncio.wait_for(other.remote.met(), 10)
        (theirs,) = other.models.live
        clock = asyncio.get_running_loop().time
        asking = asyncio.create_task(
            theirs.batcher.submit_each(["a text"], costs=[5], deadline=clock() + 60)
        )
        (held,) = await engine.queue.holds(1)
        live, _ = await shut(engine, front)
        if how == "answered":
            held.answer.set_result([InvalidInput("One cannot read this.")])
        elif how == "failed":
            held.answer.set_exception(InvalidInput("One cannot read this."))
        else:
            asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: live.batcher.refusal("interactive", 60.0, lambda: 5) is None)
        assert not engine.end._shut  # it is told once


async def test_several_parts_are_not_refused_at_the_door(site: Site, catalog: Catalog) -> None:
    async with site.engine() as engine, fronting(site.path, catalog) as front:
        live, _ = await shut(engine, front)
        clock = asyncio.get_running_loop().time
        asking = asyncio.create_task(
            live.batcher.submit_each(["one", "two"], costs=[5, 5], deadline=clock() + 60)
        )
        (held,) = await engine.queue.holds(1)
        assert held.parts == ["one", "two"]
        held.answer.set_exception(FULL)
        with pytest.raises(Overloaded):
            await asking


async def test_another_engine_has_other_doors(site: Site, catalog: Catalog) -> None:
    async with fronting(site.path, catalog) as front:
        async with site.engine() as engine:
            live, _ = await shut(engine, front)
        await until(lambda: live.batcher.refusal("interactive", 60.0, lambda: 5) is None)


async def test_a_front_end_that_has_gone_is_told_nothing(site: Site, catalog: Catalog) -> None:
    async with site.engine() as engine, fronting(site.path, catalog) as other:
        async with fronting(site.path, catalog) as front:
            await shut(engine, front)
        await asyncio.wait_for(other.remote.met(), 10)
        await until(lambda: not any(engine.end._shut.values()))

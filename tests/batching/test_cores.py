"""Cores that models share: who goes first, and that no core stands idle. Threads, no waiting."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cores import Account, Cores
from service.batching.policy import BatchPolicy
from service.batching.surroundings import Surroundings
from tests.batching.doubles import Clock, GatedRunner, turn

SOON_S = 10.0


class Watched(Account):
    """Tells when its next turn is asked for: by then it holds a core, or stands in the queue."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._used_s = 0.0

    @property
    def used_s(self) -> float:
        return self._used_s

    @used_s.setter
    def used_s(self, seconds: float) -> None:
        self._used_s = seconds
        self.asked.set()


class Crowd:
    """Threads that each take one turn and do something in it."""

    def __init__(self, cores: Cores) -> None:
        self._cores = cores
        self._threads: list[threading.Thread] = []

    def comes(self, account: Watched, does: Callable[[], object]) -> None:
        """One more thread; returns when it holds a core or waits for one."""

        def live() -> None:
            with self._cores.turn(account):
                does()

        account.asked.clear()
        self._threads.append(threading.Thread(target=live, daemon=True))
        self._threads[-1].start()
        assert account.asked.wait(SOON_S)

    def is_done(self) -> bool:
        for thread in self._threads:
            thread.join(SOON_S)
        return not any(thread.is_alive() for thread in self._threads)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def use(cores: Cores, account: Account, clock: Clock, seconds: float) -> None:
    with cores.turn(account):
        clock.advance(seconds)


def test_a_turn_is_booked_to_the_account_that_took_it(clock: Clock) -> None:
    cores, mine, other = Cores(1, clock), Account(), Account()
    use(cores, mine, clock, 2.0)
    use(cores, mine, clock, 3.0)
    assert (mine.used_s, other.used_s) == (5.0, 0.0)


def test_there_are_never_more_turns_than_cores() -> None:
    cores, lock, gate = Cores(2), threading.Lock(), threading.Semaphore(0)
    inside, seen = 0, []

    def work() -> None:
        nonlocal inside
        with lock:
            inside += 1
            seen.append(inside)
        gate.acquire()
        with lock:
            inside -= 1

    crowd = Crowd(cores)
    for _ in range(8):
        crowd.comes(Watched(), work)
    gate.release(8)
    assert crowd.is_done()
    assert len(seen) == 8
    assert max(seen) == 2


def test_who_used_least_goes_first_and_not_who_came_first(clock: Clock) -> None:
    cores, order = Cores(1, clock), list[str]()
    much, little, now = Watched(), Watched(), Account()
    use(cores, much, clock, 5.0)
    use(cores, little, clock, 1.0)
    crowd = Crowd(cores)
    with cores.turn(now):
        crowd.comes(much, lambda: order.append("much"))
        crowd.comes(little, lambda: order.append("little"))
    assert crowd.is_done()
    assert order == ["little", "much"]


def test_who_comes_just_as_a_core_is_freed_does_not_pass_those_who_wait(clock: Clock) -> None:
    cores, order = Cores(1, clock), list[str]()
    much, little = Account(), Watched()
    use(cores, much, clock, 5.0)
    crowd = Crowd(cores)
    with cores.turn(Account()):
        crowd.comes(little, lambda: order.append("little"))
    with cores.turn(much):
        order.append("much")
    assert crowd.is_done()
    assert order == ["little", "much"]


def test_with_equal_use_who_came_first_goes_first(clock: Clock) -> None:
    cores, order = Cores(1, clock), list[int]()
    crowd = Crowd(cores)
    with cores.turn(Account()):
        for number in range(4):
            crowd.comes(Watched(), partial(order.append, number))
    assert crowd.is_done()
    assert order == [0, 1, 2, 3]


def test_an_idle_account_saves_nothing_up(clock: Clock) -> None:
    cores, busy, idle = Cores(1, clock), Account(), Account()
    for _ in range(10):
        use(cores, busy, clock, 1.0)
    use(cores, idle, clock, 1.0)
    assert busy.used_s == 10.0
    assert idle.used_s == 10.0, "it began where the last turn began, at 9"


def test_who_had_the_cores_alone_is_not_punished_for_it(clock: Clock) -> None:
    cores, alone, late = Cores(1, clock), Watched(), Watched()
    for _ in range(10):
        use(cores, alone, clock, 1.0)
    order = list[str]()
    crowd = Crowd(cores)
    with cores.turn(late):
        crowd.comes(late, lambda: order.append("late"))
        crowd.comes(alone, lambda: order.append("alone"))
        clock.advance(5.0)
    assert crowd.is_done()
    assert order == ["alone", "late"], "late has used 5 seconds since it came, alone 1"


def test_two_models_that_want_all_get_the_same_time_however_long_their_runs(clock: Clock) -> None:
    cores = Cores(1, clock)
    crowd = Crowd(cores)
    got_s = {"long": 0.0, "short": 0.0}

    def saturate(name: str, account: Watched, run_s: float) -> None:
        if sum(got_s.values()) < 200.0:
            crowd.comes(account, lambda: saturate(name, account, run_s))  # wants the next, too
            clock.advance(run_s)
            got_s[name] += run_s

    with cores.turn(Account()):
        for name, run_s in (("long", 4.0), ("short", 1.0)):
            account = Watched()
            crowd.comes(account, partial(saturate, name, account, run_s))
    assert crowd.is_done()
    assert got_s["long"] == pytest.approx(got_s["short"], abs=4.0)


def test_a_free_core_is_taken_at_once_whoever_asks(clock: Clock) -> None:
    cores, greedy, modest = Cores(2, clock), Account(), Account()
    with cores.turn(modest):
        use(cores, greedy, clock, 100.0)
        use(cores, greedy, clock, 100.0)
    assert greedy.used_s == 200.0


def test_cores_that_become_free_together_are_taken_together(clock: Clock) -> None:
    cores, together = Cores(2, clock), threading.Barrier(2)
    much, little = Watched(), Watched()
    use(cores, much, clock, 5.0)
    crowd = Crowd(cores)
    with cores.turn(Account()), cores.turn(Account()):
        for account in (much, little):  # the first of them lets the other go before it
            crowd.comes(account, lambda: together.wait(SOON_S))
    assert crowd.is_done()
    assert not together.broken


def test_threads_of_one_account_take_turns_too() -> None:
    cores, account, done = Cores(1), Watched(), list[int]()
    crowd = Crowd(cores)
    with cores.turn(account):
        for number in range(3):
            crowd.comes(account, partial(done.append, number))
    assert crowd.is_done()
    assert sorted(done) == [0, 1, 2]


def test_a_turn_that_fails_is_booked_and_frees_its_core(clock: Clock) -> None:
    cores, account = Cores(1, clock), Account()

    def fail() -> None:
        with cores.turn(account):
            clock.advance(2.0)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert account.used_s == 2.0
    use(cores, account, clock, 1.0)
    assert account.used_s == 3.0


@pytest.mark.anyio
async def test_a_batch_goes_on_forming_while_its_worker_waits_for_a_core() -> None:
    cores, account, runner = Cores(1), Watched(), GatedRunner()
    runner.open()
    batcher = Batcher[int, Any](
        runner,
        BatchPolicy(max_batch_size=8, max_queue_size=8),
        surroundings=Surroundings(turn=lambda: cores.turn(account)),
    )
    far = asyncio.get_running_loop().time() + 1e6
    account.asked.clear()
    with cores.turn(Account()):
        first = asyncio.create_task(batcher.submit(1, deadline=far))
        await turn()
        assert await asyncio.to_thread(account.asked.wait, SOON_S)
        second = asyncio.create_task(batcher.submit(2, deadline=far))
        await turn()
        assert runner.batches == []
    assert [await first, await second] == [10, 20]
    assert runner.batches == [[1, 2]]
    batcher.close()
    assert await asyncio.to_thread(batcher.join, SOON_S)
    assert account.used_s > 0.0


def test_who_cannot_wait_gets_a_core_that_is_free_and_is_booked_for_it(clock: Clock) -> None:
    cores, account = Cores(1, clock), Account()
    turn_ = cores.turn_now(account)
    assert turn_ is not None
    with turn_:
        clock.advance(2.0)
        assert cores.turn_now(Account()) is None, "the only core is held"
    assert account.used_s == 2.0
    late = Account()
    again = cores.turn_now(late)
    assert again is not None
    with again:
        clock.advance(1.0)
    assert late.used_s == 1.0, "it began where the last turn began, at 0"


def test_an_idle_account_that_cannot_wait_saves_nothing_up_either(clock: Clock) -> None:
    cores, busy, idle = Cores(1, clock), Account(), Account()
    for _ in range(10):
        use(cores, busy, clock, 1.0)
    turn_ = cores.turn_now(idle)
    assert turn_ is not None
    with turn_:
        clock.advance(1.0)
    assert idle.used_s == 10.0, "it began where the last turn began, at 9"

"""Queues small enough to work out by hand, and one that theory knows the answer for."""

import random
from dataclasses import replace

import numpy as np
import pytest

from bench.scaling.pod import Outcome, Pod, Server


def one_worker(**changes: object) -> Server:
    """1 s for one item, 1.5 s for two; of the second length ten times that."""
    rows = ((0.0, 1.0, 1.5), (0.0, 10.0, 15.0))
    values = {"workers": 1, "max_batch_size": 2, "max_queue_size": 10, "lengths": [10, 100]}
    return Server(**{**values, "seconds": rows, **changes})  # type: ignore[arg-type]


def served(server: Server, arrivals: list[float], lengths: list[int] | None = None) -> Outcome:
    outcome = Outcome()
    Pod(server, outcome).run(arrivals, lengths or [0] * len(arrivals))
    return outcome


def test_an_item_that_comes_to_an_idle_pod_waits_for_nothing() -> None:
    assert [*served(one_worker(), [5.0]).latencies_s] == [1.0]


def test_who_comes_while_a_batch_runs_goes_together_in_the_next() -> None:
    outcome = served(one_worker(), [0.0, 0.25, 0.5])
    assert [*outcome.latencies_s] == [1.0, 2.25, 2.0]


def test_a_batch_is_never_larger_than_it_may_be() -> None:
    assert [*served(one_worker(), [0.0, 0.1, 0.2, 0.3]).latencies_s] == pytest.approx(
        [1.0, 2.4, 2.3, 3.2]
    )


@pytest.mark.parametrize(("padded", "seconds"), [(True, 1.6), (False, 1.55)])
def test_a_padded_batch_takes_as_long_as_its_longest_item(padded: bool, seconds: float) -> None:
    rows = {10: (0.0, 1.0, 1.5), 20: (0.0, 1.2, 1.6)}
    server = one_worker(lengths=[*rows], seconds=[*rows.values()])
    server = replace(server, run_s=(lambda size, length: rows[length][size]) if padded else None)
    outcome = served(server, [0.0, 0.5, 0.5], [0, 0, 1])
    assert [*outcome.latencies_s] == pytest.approx([1.0, 0.5 + seconds, 0.5 + seconds])


def test_a_long_item_does_not_go_with_short_ones_that_it_would_hold_up() -> None:
    rows = {10: (0.0, 1.0, 1.5), 100: (0.0, 10.0, 15.0)}
    server = one_worker(run_s=lambda size, length: rows[length][size])
    outcome = served(server, [0.0, 0.5, 0.6, 0.7], [0, 0, 1, 0])
    assert [*outcome.latencies_s] == pytest.approx([1.0, 2.0, 1.8, 11.9])


def test_a_long_item_is_passed_over_as_often_as_in_the_server() -> None:
    rows = {10: (0.0, 1.0), 100: (0.0, 10.0)}
    seconds = [*rows.values()]
    run_s = lambda size, length: rows[length][size]  # noqa: E731
    server = one_worker(seconds=seconds, run_s=run_s, max_batch_size=1, deadline_s=99.0)
    outcome = served(server, [0.0, 0.5, 0.5, *[0.75] * 6], [0, 1, 1, *[0] * 6])
    ends = [end_s - 0.75 for end_s in (2.0, 3.0, 4.0, 5.0)]
    assert [*outcome.latencies_s][:6] == [1.0, *ends, 14.5]
    assert [*outcome.latencies_s][6:] == [15.25, 16.25, 26.5]


def test_a_second_worker_takes_what_the_first_leaves() -> None:
    assert [*served(one_worker(workers=2), [0.0, 0.5]).latencies_s] == [1.0, 1.0]


def test_a_full_queue_refuses() -> None:
    outcome = served(one_worker(max_queue_size=2), [0.0, 0.1, 0.2, 0.3, 0.4])
    assert (outcome.arrived, len(outcome.latencies_s), outcome.shed) == (5, 3, 2)
    assert outcome.unanswered == 0.4


def test_who_waited_past_the_deadline_is_left_out() -> None:
    outcome = served(one_worker(deadline_s=2.0), [0.0, 0.1, 0.2, 0.3], [1, 0, 0, 0])
    assert (outcome.expired, len(outcome.latencies_s)) == (3, 1)


def test_a_pod_that_is_not_ready_yet_begins_late() -> None:
    outcome = Outcome()
    Pod(one_worker(), outcome, ready_s=3.0).run([1.0], [0])
    assert [*outcome.latencies_s] == [3.0]


def test_what_waits_is_told_in_items_and_in_seconds() -> None:
    pod = Pod(one_worker(workers=2), Outcome())
    pod.run([0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.3], [0, 0, 0, 0, 0, 0, 1], until_s=0.5)
    assert pod.waiting == 3
    assert pod.queue_s == (2 * 0.75 + 7.5) / 2
    assert pod.idle_s == 1.5


def test_a_pod_gives_the_same_in_pieces_as_at_once() -> None:
    draw = random.Random(3)
    arrivals = sorted(draw.uniform(0.0, 60.0) for _ in range(60))
    whole, pieces = Outcome(), Outcome()
    Pod(one_worker(max_queue_size=3), whole).run(arrivals, [0] * 60)
    pod = Pod(one_worker(max_queue_size=3), pieces)
    for second in range(60):
        some = [at for at in arrivals if second <= at < second + 1]
        pod.run(some, [0] * len(some), second + 1.0)
    pod.run((), ())
    assert pieces == whole
    assert whole.shed > 0


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_worker_without_batches_waits_as_theory_says(load: float) -> None:
    """M/D/1: the mean wait is load / (2 (1 - load)) of a service time."""
    random = np.random.default_rng(7)
    arrivals = np.cumsum(random.exponential(1.0 / load, 80_000)).tolist()
    outcome = served(one_worker(max_batch_size=1, max_queue_size=10**9, deadline_s=1e9), arrivals)
    mean_wait_s = np.mean(outcome.latencies_s) - 1.0
    assert mean_wait_s == pytest.approx(load / (2.0 * (1.0 - load)), rel=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_every_item_is_answered_refused_or_expired(seed: int) -> None:
    draw = random.Random(seed)
    arrivals = sorted(draw.uniform(0.0, 100.0) for _ in range(400))
    lengths = [draw.randrange(2) for _ in arrivals]
    outcome = served(one_worker(max_queue_size=4, deadline_s=8.0), arrivals, lengths)
    assert outcome.shed > 0
    assert outcome.expired > 0
    assert len(outcome.latencies_s) + outcome.shed + outcome.expired == outcome.arrived == 400

"""Fleets: nothing is lost, the same seed gives the same, and the autoscaler does what it should."""

from dataclasses import replace

import pytest

from bench.scaling.arrivals import Trace, bursts, steady
from bench.scaling.autoscaler import Behaviour, Kind
from bench.scaling.pod import Server
from bench.scaling.simulation import Plan, Result, Scaling, simulate

# 100 ms an item, 2 workers: 20 items a second.
SERVER = Server(lengths=[1], seconds=[[0.0, 0.1]], workers=2, max_batch_size=1, max_queue_size=16)


def plan(trace: Trace, seconds: float = 120.0, **changes: object) -> Plan:
    values = {"server": SERVER, "trace": trace, "seconds": seconds, "replicas": 2, "shares": (1.0,)}
    return Plan(**{**values, **changes})  # type: ignore[arg-type]


def scaling(kind: Kind = "keda", **targets: float) -> Scaling:
    return Scaling(targets=targets, kind=kind, behaviour=Behaviour(least=1, most=6))


def pods(result: Result) -> list[int]:
    return [sample.pods for sample in result.samples]


def test_nothing_is_lost_and_pods_are_paid_for() -> None:
    result = simulate(plan(steady(60.0, 120.0)))
    outcome = result.outcome
    assert outcome.shed > 0
    assert len(outcome.latencies_s) + outcome.shed + outcome.expired == outcome.arrived
    assert outcome.arrived == pytest.approx(7_200, rel=0.08)
    assert result.pod_hours == pytest.approx(2 * 120 / 3600)


def test_a_fleet_in_overload_answers_what_it_can() -> None:
    result = simulate(plan(steady(60.0, 120.0)))
    assert len(result.outcome.latencies_s) == pytest.approx(40 * 120, rel=0.02)
    assert result.outcome.unanswered == pytest.approx(1 / 3, rel=0.08)


def test_the_same_seed_gives_the_same_and_another_one_does_not() -> None:
    first, again, other = (
        simulate(plan(steady(30.0, 60.0), 60.0, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.outcome != other.outcome


@pytest.mark.parametrize("kind", ["keda", "hpa"])
@pytest.mark.parametrize("signal", [{"seconds": 0.1}, {"depth": 2.0}])
def test_an_overloaded_fleet_grows_until_nobody_is_refused(
    kind: Kind, signal: dict[str, float]
) -> None:
    result = simulate(plan(steady(60.0, 600.0), 600.0, scaling=scaling(kind, **signal)))
    assert max(pods(result)) >= 4
    fixed = simulate(plan(steady(60.0, 600.0), 600.0))
    assert result.outcome.unanswered < fixed.outcome.unanswered / 4
    assert result.pod_hours > fixed.pod_hours


def test_an_idle_fleet_shrinks_one_pod_a_minute_after_five() -> None:
    result = simulate(plan(steady(0.1, 600.0), 600.0, replicas=4, scaling=scaling(depth=2.0)))
    at = {sample.at_s: sample.pods for sample in result.samples}
    assert (at[15.0], at[300.0], at[330.0]) == (4, 4, 3)
    assert pods(result) == sorted(pods(result), reverse=True)
    assert pods(result)[-1] == 1


def test_a_new_pod_takes_no_request_before_it_is_ready() -> None:
    quick, slow = (
        simulate(plan(bursts(60.0, 400.0), 400.0, start_s=start_s, scaling=scaling(depth=2.0)))
        for start_s in (1.0, 60.0)
    )
    assert quick.outcome.unanswered < slow.outcome.unanswered
    assert all(sample.ready <= sample.pods for sample in slow.samples)
    assert any(sample.ready < sample.pods for sample in slow.samples)


def test_of_two_metrics_the_one_that_wants_more_pods_wins() -> None:
    load = plan(steady(60.0, 300.0), 300.0)
    one = simulate(replace(load, scaling=scaling(seconds=1000.0)))
    both = simulate(replace(load, scaling=scaling(seconds=1000.0, depth=2.0)))
    assert max(pods(one)) == 2
    assert max(pods(both)) > 2


def test_a_plan_tells_how_far_it_is() -> None:
    steps: list[float] = []
    simulate(plan(steady(1.0, 10.0), 9.5), steps.append)
    assert sum(steps) == pytest.approx(9.5)

"""The rule of the HorizontalPodAutoscaler, case by case; its defaults are the manifests'."""

from dataclasses import replace

import pytest

from bench.scaling.autoscaler import (
    Autoscaler,
    Behaviour,
    wanted_of_pods,
    wanted_of_total,
)
from tests.k8s.manifests import component

RULE = Behaviour(least=1, most=100, down_window_s=60.0)


@pytest.mark.parametrize("total", [9.0, 9.1, 10.0, 10.9])
def test_a_total_near_the_target_changes_nothing(total: float) -> None:
    assert wanted_of_total(total, 2.0, 5) == 5


def test_a_total_far_from_the_target_is_rounded_up() -> None:
    assert wanted_of_total(11.5, 2.0, 5) == 6
    assert wanted_of_total(8.5, 2.0, 5) == 5
    assert wanted_of_total(3.0, 2.0, 5) == 2


def test_an_average_near_the_target_changes_nothing() -> None:
    assert wanted_of_pods({1: 2.1, 2: 2.1}, 0, 0, 2.0, 2) == 2
    assert wanted_of_pods({1: 3.0, 2: 3.0}, 0, 0, 2.0, 2) == 3


def test_pods_that_are_not_ready_count_as_idle_when_the_fleet_would_grow() -> None:
    assert wanted_of_pods({1: 8.0, 2: 8.0}, 0, 2, 2.0, 4) == 8
    assert wanted_of_pods({1: 4.0, 2: 4.0}, 0, 2, 2.0, 4) == 4
    assert wanted_of_pods({1: 3.0, 2: 3.0}, 0, 2, 2.0, 4) == 4  # turned round: no change


def test_pods_without_a_value_count_as_at_the_target_when_the_fleet_would_shrink() -> None:
    assert wanted_of_pods({1: 0.0, 2: 0.0}, 2, 0, 2.0, 4) == 2
    assert wanted_of_pods({1: 0.0, 2: 0.0}, 0, 2, 2.0, 4) == 0


def test_nothing_known_changes_nothing() -> None:
    assert wanted_of_pods({}, 2, 0, 2.0, 2) == 2


def test_growth_at_most_doubles_within_a_period() -> None:
    scaler = Autoscaler(RULE)
    assert scaler.decide(0.0, 4, [50]) == 8
    assert scaler.decide(10.0, 8, [50]) == 8
    assert scaler.decide(15.0, 8, [50]) == 16


def test_a_single_pod_may_become_three() -> None:
    assert Autoscaler(RULE).decide(0.0, 1, [50]) == 3


def test_the_fleet_shrinks_only_to_what_was_enough_all_through_the_window() -> None:
    scaler = Autoscaler(RULE)
    assert scaler.decide(0.0, 6, [6]) == 6
    assert scaler.decide(30.0, 6, [2]) == 6
    assert scaler.decide(61.0, 6, [2]) == 5
    assert scaler.decide(90.0, 5, [2]) == 5  # one pod a minute
    assert scaler.decide(122.0, 5, [2]) == 4


def test_a_short_need_within_the_window_does_not_make_it_grow() -> None:
    scaler = Autoscaler(RULE)
    scaler.decide(0.0, 3, [9])
    assert scaler.decide(15.0, 3, [3]) == 3


def test_the_largest_of_several_metrics_counts() -> None:
    assert Autoscaler(RULE).decide(0.0, 4, [2, 7, 5]) == 7


def test_the_bounds_hold() -> None:
    scaler = Autoscaler(replace(RULE, least=2, most=5, down_window_s=0.0))
    assert scaler.decide(0.0, 4, [50]) == 5
    assert scaler.decide(100.0, 3, [0]) == 2
    assert scaler.decide(200.0, 2, [0]) == 2


def test_at_first_the_fleet_is_what_it_was_found_to_need() -> None:
    scaler = Autoscaler(RULE)
    assert [scaler.decide(at, 6, [1]) for at in (0.0, 30.0, 60.0)] == [6, 6, 6]
    assert scaler.decide(61.0, 6, [1]) == 5


def test_the_defaults_are_those_of_the_manifests() -> None:
    spec, rule = component("hpa", "autoscaler.yaml")["spec"], Behaviour()
    up, down = spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"]
    assert (rule.least, rule.most) == (spec["minReplicas"], spec["maxReplicas"])
    assert up["policies"] == [
        {"type": "Percent", "value": rule.up_percent, "periodSeconds": rule.up_period_s},
        {"type": "Pods", "value": rule.up_pods, "periodSeconds": rule.up_period_s},
    ]
    assert down["policies"] == [
        {"type": "Pods", "value": rule.down_pods, "periodSeconds": rule.down_period_s}
    ]
    assert down["stabilizationWindowSeconds"] == rule.down_window_s
    assert up["stabilizationWindowSeconds"] == 0

"""What many answers amount to."""

import pytest

from service.load.samples import Samples, percentile, summarise


def seen(*answers: tuple[float, int]) -> Samples:
    samples = Samples()
    for place, (latency_s, status) in enumerate(answers):
        samples.add(place, place + 0.001, place + latency_s, status)
    return samples


def test_goodput_counts_answers_within_the_objective() -> None:
    summary = summarise(seen((0.1, 200), (0.3, 200), (0.05, 429)), 2.0, slo_s=0.2)
    assert (summary.good, summary.good_per_s, summary.ok_per_s) == (1, 0.5, 1.0)
    assert summary.good_share == pytest.approx(1 / 3)


def test_without_an_objective_every_200_is_good() -> None:
    assert summarise(seen((9.0, 200), (0.1, 504)), 1.0).good == 1


def test_requests_without_an_answer_lower_the_share() -> None:
    assert summarise(seen((0.1, 200)), 1.0, offered=4).good_share == 0.25


def test_refusals_have_latencies_of_their_own() -> None:
    summary = summarise(seen((1.0, 200), (0.002, 429), (0.004, 503)), 1.0)
    assert summary.latency_ms is not None
    assert summary.refusal_ms is not None
    assert summary.latency_ms["p50"] == pytest.approx(1000.0)
    assert summary.refusal_ms["p99"] == pytest.approx(4.0)


def test_no_answers_have_no_latency() -> None:
    summary = summarise(seen((0.1, 429)), 1.0)
    assert summary.latency_ms is None
    assert summarise(Samples(), 1.0, offered=3).good_share == 0.0


def test_the_lag_is_how_late_requests_left() -> None:
    assert summarise(seen((0.1, 200)), 1.0).lag_p99_ms == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("share", "value"), [(50.0, 5), (90.0, 9), (91.0, 10), (99.9, 10), (10.0, 1), (1.0, 1)]
)
def test_a_percentile_is_a_value_that_was_seen(share: float, value: int) -> None:
    assert percentile(list(range(1, 11)), share) == value


def test_runs_can_be_told_together() -> None:
    both = Samples.together([seen((0.1, 200), (0.2, 429)), seen((0.3, 504))])
    assert list(both.status) == [200, 429, 504]
    assert both.latencies_s(200, 429, 504) == pytest.approx([0.1, 0.2, 0.3])
    assert both.lags_s() == pytest.approx([0.001] * 3)

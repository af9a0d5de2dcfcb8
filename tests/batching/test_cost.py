"""What the latency model makes of what it is told, by numbers that are known beforehand."""

import random
from collections.abc import Sequence
from itertools import product

import pytest

from service.batching.cost import LatencyModel, Parts

SIZES, LENGTHS = (1, 4, 8, 32), (8, 64, 256)
SHAPES = list(product(SIZES, LENGTHS))
TRUE = Parts(fixed_s=2e-3, row_s=5e-4, step_s=1e-4, cell_s=2e-5)


def took(parts: Parts, size: int, length: int) -> float:
    return parts.fixed_s + size * parts.row_s + length * parts.step_s + size * length * parts.cell_s


def learnt(parts: Parts, *, rounds: int = 1, spread: float = 0.0) -> LatencyModel:
    """A model that saw every shape `rounds` times, each time off by up to `spread`."""
    model, chance = LatencyModel(), random.Random(5)
    for size, length in SHAPES * rounds:
        noise = 1.0 + chance.uniform(-spread, spread)
        model.measured(size, length, took(parts, size, length) * noise)
    return model


@pytest.mark.parametrize(
    "parts",
    [
        TRUE,
        Parts(fixed_s=0.01),
        Parts(row_s=0.01),
        Parts(step_s=0.01),
        Parts(cell_s=0.01),
        Parts(fixed_s=0.01, cell_s=1e-5),
        Parts(row_s=0.003, step_s=1e-4),
    ],
)
def test_the_parts_are_found_and_hold_for_shapes_not_seen_yet(parts: Parts) -> None:
    model = learnt(parts)
    assert model.parts == pytest.approx(parts, rel=1e-3, abs=1e-8)
    for size, length in ((2, 16), (16, 128), (64, 512)):
        assert model.seconds(size, length) == pytest.approx(took(parts, size, length), rel=1e-3)


def test_noise_is_evened_out_and_favours_neither_side() -> None:
    model = learnt(TRUE, rounds=40, spread=0.5)
    ratios = [model.seconds(*shape) / took(TRUE, *shape) for shape in SHAPES]
    assert all(0.8 < ratio < 1.2 for ratio in ratios)
    assert 0.95 < sum(ratios) / len(ratios) < 1.05


def test_where_nobody_is_padded_the_longest_item_takes_no_time_of_the_others() -> None:
    # One large item at a time: by these alone it could be the steps of all as well as its own.
    model = LatencyModel(has_steps=False)
    for _ in range(3):
        for size, length, seconds in ((1, 1, 0.001), (8, 1, 0.008), (1, 80, 0.08), (2, 80, 0.16)):
            model.measured(size, length, seconds)
    assert model.parts.step_s == 0.0
    assert model.seconds(32, 80) == pytest.approx(2.56, rel=1e-3)
    for parts in (Parts(step_s=0.01), TRUE):
        for size, length in SHAPES:
            model.measured(size, length, took(parts, size, length))
        assert model.parts.step_s == 0.0


def test_no_part_is_ever_below_zero() -> None:
    model = LatencyModel()
    for size, length, seconds in ((1, 8, 0.03), (8, 8, 0.02), (1, 64, 0.02), (8, 64, 0.01)):
        model.measured(size, length, seconds)
    assert min(model.parts) >= 0.0
    assert model.seconds(1, 8) > 0.0


def test_a_small_batch_is_explained_as_well_as_a_large_one() -> None:
    model = LatencyModel()
    # A line cannot pass through all three: the relative errors are what is kept small.
    for size, seconds in ((1, 0.001), (2, 0.002), (1000, 2.0)) * 5:
        model.measured(size, 1, seconds)
    assert model.seconds(1, 1) == pytest.approx(0.001, rel=0.5)
    assert model.seconds(1000, 1) == pytest.approx(2.0, rel=0.5)


def test_while_one_size_was_seen_larger_ones_are_expected_to_cost_as_many_times_more() -> None:
    model = LatencyModel()
    for _ in range(3):
        model.measured(1, 10, 0.01)
    assert model.seconds(8, 10) == pytest.approx(0.08)
    assert model.parts.row_s == pytest.approx(0.01)


def test_where_all_lengths_are_alike_length_explains_nothing() -> None:
    model = LatencyModel()
    for size in (1, 8, 32):
        model.measured(size, 1, 0.002 + 0.001 * size)
    assert model.parts == pytest.approx((0.002, 0.001, 0.0, 0.0))


def test_before_anything_was_measured_nothing_is_expected() -> None:
    model = LatencyModel()
    assert model.seconds(8, 64) == 0.0
    assert model.parts == (0.0, 0.0, 0.0, 0.0)


def test_a_prediction_is_trusted_after_three_batches() -> None:
    model = LatencyModel()
    trusted = []
    for _ in range(3):
        trusted.append(model.trusted)
        model.measured(1, 1, 0.01)
    assert [*trusted, model.trusted] == [False, False, False, True]
    assert model.batches == 3


def test_every_early_batch_is_learnt_from_at_once() -> None:
    model = LatencyModel()
    expected_s = [model.seconds(1, 1)]
    for number in range(1, 33):
        model.measured(1, 1, 0.01 * number)
        expected_s.append(model.seconds(1, 1))
    assert expected_s == sorted(set(expected_s))


def faded_mean(observed: Sequence[tuple[float, float]]) -> float:
    """Of (weight, seconds), oldest first: each counts 2 % less than the one after it."""
    weights = [weight * 0.98**age for age, (weight, _) in enumerate(reversed(observed))]
    seconds = [took_s for _, took_s in reversed(observed)]
    return sum(w * s for w, s in zip(weights, seconds, strict=True)) / sum(weights)


def test_each_batch_is_learnt_from_once_and_fades_with_every_later_one() -> None:
    model = LatencyModel()
    observed: list[tuple[float, float]] = []
    for seconds, batches in ((0.001, 32), (0.002, 64), (0.0015, 64)):  # each ends with a lesson
        expected_s = model.seconds(1, 1) or seconds
        for _ in range(batches):
            model.measured(1, 1, seconds)
        observed += [(expected_s**-2, seconds)] * batches
        assert model.seconds(1, 1) == pytest.approx(faded_mean(observed))


def test_long_batches_are_learnt_from_after_half_a_second_of_them() -> None:
    model = LatencyModel()
    for _ in range(32):
        model.measured(1, 1, 0.1)
    expected_s = []
    for _ in range(6):
        model.measured(1, 1, 0.2)
        expected_s.append(model.seconds(1, 1))
    before_s, *_, after_s = expected_s
    assert before_s == pytest.approx(0.1)
    assert [at_s == before_s for at_s in expected_s] == [True, True, False, False, False, False]
    assert before_s < expected_s[2] < after_s


def test_a_batch_that_took_no_time_tells_nothing() -> None:
    model = LatencyModel()
    model.measured(1, 1, 0.0)
    model.measured(1, 1, -1.0)
    assert model.batches == 0
    assert model.seconds(1, 1) == 0.0


@pytest.mark.parametrize("times", [0.01, 100.0])
def test_a_single_odd_batch_changes_little(times: float) -> None:
    model = learnt(TRUE, rounds=2)
    model.measured(32, 256, took(TRUE, 32, 256) * times)
    assert model.batches == 25, "it is among those that are learnt from at once"
    for shape in SHAPES:
        assert model.seconds(*shape) == pytest.approx(took(TRUE, *shape), rel=0.3)


@pytest.mark.parametrize("times", [0.2, 2.0, 8.0])
def test_a_change_that_lasts_is_followed(times: float) -> None:
    model = learnt(TRUE, rounds=6)
    for size, length in SHAPES * 22:
        model.measured(size, length, took(TRUE, size, length) * times)
    for shape in SHAPES:
        assert model.seconds(*shape) == pytest.approx(took(TRUE, *shape) * times, rel=0.15)


def test_the_table_has_every_pair_sizes_first() -> None:
    model = learnt(Parts(row_s=1.0))
    rows = model.table([1, 2], [8, 64])
    assert [row[:2] for row in rows] == [(1, 8), (1, 64), (2, 8), (2, 64)]
    assert [row[2] for row in rows] == pytest.approx([1.0, 1.0, 2.0, 2.0])

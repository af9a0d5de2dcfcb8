import numpy as np
import pytest

from export.quantize.weights import LARGEST, to_int8


def weights(*shape: int) -> np.ndarray:
    """Channels of very different size."""
    generator = np.random.default_rng(0)
    return generator.normal(size=shape).astype(np.float32) * np.logspace(-3, 2, shape[-1])


def test_the_sum_of_two_products_always_fits_sixteen_bits() -> None:
    assert np.iinfo(np.int16).max >= 2 * 255 * LARGEST
    values = to_int8(weights(50, 8).astype(np.float32), axis=1).values
    assert values.dtype == np.int8
    assert (values.min(), values.max()) == (-LARGEST, LARGEST)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_every_channel_has_a_scale_of_its_own_and_uses_the_whole_range(axis: int) -> None:
    found = to_int8(weights(7, 5), axis=axis)
    expected = [1, 1]
    expected[axis] = (7, 5)[axis]
    assert list(found.scales.shape) == expected
    assert found.scales.dtype == np.float32
    others = 1 - axis % 2
    assert (np.abs(found.values).max(axis=others) == LARGEST).all()


def test_no_weight_moves_by_more_than_half_a_step() -> None:
    original = weights(40, 6)
    found = to_int8(original, axis=1)
    error = np.abs(found.values * found.scales - original)
    assert (error <= found.scales / 2 * 1.001).all()


def test_the_sign_is_kept_and_zero_is_zero() -> None:
    found = to_int8(np.array([[-2.0, 0.0, 2.0]], np.float32), axis=0)
    assert found.values.tolist() == [[-LARGEST, 0, LARGEST]]


def test_a_channel_of_zeros_stays_zero_and_finite() -> None:
    found = to_int8(np.zeros((4, 2), np.float32), axis=1)
    assert not found.values.any()
    assert np.isfinite(found.scales).all()
    assert (found.scales > 0).all()


def test_a_wider_range_may_be_asked_for() -> None:
    assert np.abs(to_int8(weights(9, 3), axis=1, largest=127).values).max() == 127

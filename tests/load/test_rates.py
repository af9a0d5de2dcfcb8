"""How a rate is shown."""

import pytest

from service.load.rates import readable


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (0.0, "0"),
        (0.00001, "0.00001"),
        (2.5, "2.5"),
        (123.456, "123.5"),
        (999.96, "1000"),
        (1234.5678, "1235"),
        (10_432.4, "10432"),
        (1e7, "10000000"),
    ],
)
def test_a_rate_never_goes_to_an_exponent(rate: float, shown: str) -> None:
    assert readable(rate) == shown

"""What counts as goodput where more is sent than can be done."""

import pytest

from bench.rows.overload import good_per_s
from service.load.samples import Samples


def sent(*requests: tuple[float, float, int]) -> Samples:
    """When each was to be sent, when it was answered, and how."""
    samples = Samples()
    for intended_s, done_s, status in requests:
        samples.add(intended_s, intended_s, done_s, status)
    return samples


FIRST = (50.0, 50.1, 429)  # its time is the beginning


@pytest.mark.parametrize(
    ("request_", "counts"),
    [
        ((52.0, 52.9, 200), True),
        ((52.0, 53.1, 200), False),  # late
        ((52.0, 52.1, 429), False),
        ((50.0, 50.9, 200), False),  # while there is no queue yet
        ((50.1, 51.0, 200), True),
        ((53.9, 54.1, 200), False),  # when no more are sent
    ],
)
def test_an_answer_in_time_counts_while_there_is_overload(
    request_: tuple[float, float, int], counts: bool
) -> None:
    assert good_per_s(sent(FIRST, request_), 4.0) == pytest.approx(counts / 3)


def test_without_answers_there_is_no_goodput() -> None:
    assert good_per_s(Samples(), 4.0) == 0

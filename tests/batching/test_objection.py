"""Who is refused, and when to come back: numbers alone."""

import pytest

from service.batching.admission import Outlook, objection, retry_after_s
from service.batching.policy import BatchPolicy

POLICY = BatchPolicy(max_batch_size=1, max_queue_size=100, max_queue_s=10.0)


@pytest.mark.parametrize(
    ("outlook", "too_long_s"),
    [
        (Outlook(queue_s=0.0, stay_s=1.0, spare_s=1.0), None),
        (Outlook(queue_s=0.0, stay_s=1.5, spare_s=1.0), 0.5),
        (Outlook(queue_s=3.0, stay_s=1.0, spare_s=1.0), 3.0),
        (Outlook(queue_s=10.0, stay_s=1.0, spare_s=99.0), None),
        (Outlook(queue_s=12.5, stay_s=1.0, spare_s=99.0), 2.5),
        (Outlook(queue_s=12.5, stay_s=1.0, spare_s=10.0), 3.5),
    ],
)
def test_an_objection_says_how_many_seconds_too_long_the_way_is(
    outlook: Outlook, too_long_s: float | None
) -> None:
    found = objection(POLICY, outlook)
    assert (found and found[1]) == too_long_s


def test_an_objection_has_the_numbers_that_it_rests_on() -> None:
    late = objection(POLICY, Outlook(queue_s=3.0, stay_s=1.0, spare_s=2.5))
    assert late is not None
    assert "about 4 s and is wanted within 2.5 s" in late[0]
    full = objection(POLICY, Outlook(queue_s=12.0, stay_s=1.0, spare_s=99.0))
    assert full is not None
    assert "12 s waits already and 10 s may" in full[0]


def test_those_who_are_refused_together_do_not_come_back_together() -> None:
    assert retry_after_s(8.0, 0.0) == 8.0
    assert retry_after_s(8.0, 0.5) == 9.0
    assert retry_after_s(8.0, 1.0) == 10.0


def test_nobody_is_asked_to_come_back_within_the_second() -> None:
    assert [retry_after_s(0.01, chance) for chance in (0.0, 0.5, 1.0)] == [1.0, 1.0, 2.0]

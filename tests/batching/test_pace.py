"""What an item is expected to take: of a worker's time, and until its answer."""

import pytest

from service.batching.cost import LatencyModel, Parts
from service.batching.pace import BatchPace, StreamPace
from tests.batching.known import Known


def test_an_item_takes_its_share_of_a_full_batch_and_stays_all_of_its_own() -> None:
    pace = BatchPace(Known(Parts(fixed_s=4.0, row_s=1.0, step_s=0.5)), most=8)
    full_s = 4.0 + 8 * 1.0 + 2 * 0.5
    assert pace.share_s(2) == full_s / 8
    assert pace.run_s(3, 2) == 4.0 + 3 * 1.0 + 2 * 0.5
    assert pace.run_s(8, 2) == pace.run_s(90, 2) == full_s


def test_the_pace_of_batches_is_trusted_when_their_model_is() -> None:
    model = LatencyModel()
    pace = BatchPace(model, most=8)
    assert not pace.trusted
    for _ in range(3):
        model.measured(1, 1, 0.1)
    assert pace.trusted


def test_a_stream_that_answered_nobody_yet_expects_nothing() -> None:
    pace = StreamPace()
    assert not pace.trusted
    assert (pace.share_s(5), pace.stay_s(5), pace.run_s(4, 5)) == (0.0, 0.0, 0.0)


def test_a_stream_counts_work_and_stay_by_cost() -> None:
    pace = StreamPace()
    pace.measured(cost=10, work_s=2.0, stay_s=30.0)
    assert pace.trusted
    assert pace.share_s(5) == pytest.approx(1.0)
    assert pace.stay_s(5) == pytest.approx(15.0)
    assert pace.run_s(4, 5) == pace.stay_s(5), "its company is there anyway"


def test_an_answer_counts_by_its_cost_and_not_by_its_number() -> None:
    pace = StreamPace()
    pace.measured(cost=1, work_s=1.0, stay_s=1.0)
    pace.measured(cost=99, work_s=9.9, stay_s=9.9)
    assert pace.share_s(1) == pytest.approx(0.11, rel=0.05)


def test_a_stream_follows_a_change_that_lasts() -> None:
    pace = StreamPace()
    pace.measured(cost=10, work_s=1.0, stay_s=2.0)
    for _ in range(50):
        pace.measured(cost=10, work_s=5.0, stay_s=20.0)
    assert pace.share_s(10) == pytest.approx(5.0, rel=0.01)
    assert pace.stay_s(10) == pytest.approx(20.0, rel=0.01)

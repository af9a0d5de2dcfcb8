"""Comparing what was generated."""

from collections.abc import Sequence

import pytest

from service.runtime.slots import Generated

SCORE_TOLERANCE = 1e-5


def assert_same(found: Sequence[Generated], expected: Sequence[Generated]) -> None:
    """Same tokens, same end; scores but for rounding."""
    assert [answer.ids for answer in found] == [answer.ids for answer in expected]
    assert [answer.finished for answer in found] == [answer.finished for answer in expected]
    scores = [answer.score for answer in expected]
    assert [answer.score for answer in found] == pytest.approx(scores, abs=SCORE_TOLERANCE)

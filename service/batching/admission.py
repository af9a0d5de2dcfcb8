"""Who is turned away at the door, and when to come back: arithmetic on predicted seconds."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from service.batching.policy import BatchPolicy

LEAST_RETRY_S = 1.0
JITTER = 0.25  # so that those who were refused together do not come back together


class Outlook(NamedTuple):
    """What a newcomer would meet, in seconds.

    `queue_s` until all that waits before it was taken, `stay_s` from being taken to its answer,
    `spare_s` until its deadline.
    """

    queue_s: float
    stay_s: float
    spare_s: float

    @property
    def answer_s(self) -> float:
        """Until its answer."""
        return self.queue_s + self.stay_s


def objection(
    policy: BatchPolicy, outlook: Outlook, margin: float = 1.0
) -> tuple[str, float] | None:
    """Why a newcomer is refused, and how many seconds too long its way is; None to let it in.

    `margin` is by how much answers may come later than foreseen.
    """
    answer_s = margin * outlook.answer_s
    late_s = answer_s - outlook.spare_s
    if late_s > 0.0:
        return (
            f"The answer would take about {answer_s:.2g} s and is wanted "
            f"within {outlook.spare_s:.2g} s",
            late_s,
        )
    over_s = outlook.queue_s - policy.max_queue_s
    if over_s > 0.0:
        return (
            f"Work for {outlook.queue_s:.2g} s waits already and {policy.max_queue_s:g} s may",
            over_s,
        )
    return None


def retry_after_s(seconds: float, chance: float) -> float:
    """When to come back, in whole seconds: `seconds`, 1 at least, and by `chance` in 0..1 up to a
    quarter more, or one second where a quarter is less."""
    return ceil(max(LEAST_RETRY_S, seconds)) + float(round(chance * max(1.0, JITTER * seconds)))

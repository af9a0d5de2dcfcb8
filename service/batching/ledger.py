"""How every item ended: each exactly once. Used on the event loop alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from service.batching.isolation import outcome_of
from service.batching.queueing import QueuedItem, Submission
from service.metrics import ItemOutcome


class Ledger:
    """Hands answers and errors to those who wait for them, and counts the outcomes.

    `withdraw` takes items out of the line; `listener` hears of every count.
    """

    def __init__(
        self,
        *,
        withdraw: Callable[[Sequence[QueuedItem[Any]]], None],
        listener: Callable[[ItemOutcome, int], None],
    ) -> None:
        self._withdraw = withdraw
        self._listener = listener
        self.outcomes: Counter[ItemOutcome] = Counter()

    def count(self, outcome: ItemOutcome, count: int) -> None:
        """`count` items ended with `outcome`."""
        self.outcomes[outcome] += count
        self._listener(outcome, count)

    def end(
        self, submission: Submission[Any], outcome: ItemOutcome, error: Exception | None = None
    ) -> None:
        """End all parts of a submission that have no answer yet, with `error` if one is given."""
        count = submission.unanswered
        if submission.items:
            self._withdraw(submission.items)
        submission.release()
        if error is not None and not submission.answer.done():
            submission.answer.set_exception(error)
        if count:
            self.count(outcome, count)

    def settle(self, batch: Sequence[QueuedItem[Any]], answers: Sequence[object]) -> None:
        """Note one answer or error for each item of a batch that ran."""
        answered = 0
        for item, answer in zip(batch, answers, strict=True):
            submission = item.submission
            if submission.answer.done():  # expired or left while the batch ran
                continue
            if isinstance(answer, Exception):
                self._settle_error(item, answer)
            else:
                submission.keep(item.place, answer)
                answered += 1
        if answered:
            self.count("ok", answered)

    def _settle_error(self, item: QueuedItem[Any], error: Exception) -> None:
        submission = item.submission
        self.count(outcome_of(error), 1)
        if submission.keeps_errors:
            submission.keep(item.place, error)
        else:
            submission.unanswered -= 1
            self.end(submission, "cancelled", error)

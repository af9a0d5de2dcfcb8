"""How every item ended: each exactly once. Used on the event loop alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from service.batching.isolation import outcome_of
from service.batching.queueing import Claim, QueuedItem, Submission
from service.metrics import ItemOutcome


class Ledger:
    """Hands answers and errors to those who wait for them, and counts the outcomes.

    What is counted are claims: an item that two wait for ends twice. `abandoned` hears of items
    that nobody waits for any more; `listener` hears of every count.
    """

    def __init__(
        self,
        *,
        abandoned: Callable[[Sequence[QueuedItem[Any]]], None],
        listener: Callable[[ItemOutcome, int], None],
    ) -> None:
        self._abandoned = abandoned
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
        count, items = submission.unanswered, submission.items
        submission.release()
        if error is not None and not submission.answer.done():
            submission.answer.set_exception(error)
        left = [item for item in items if _give_up(item, submission)]
        if left:
            self._abandoned(left)
        if count:
            self.count(outcome, count)

    def settle(self, batch: Sequence[QueuedItem[Any]], answers: Sequence[object]) -> None:
        """Note one answer or error for each item of a batch that ran."""
        answered = 0
        for item, answer in zip(batch, answers, strict=True):
            claims, item.claims = item.claims, []
            for claim in claims:
                if claim.submission.answer.done():  # expired or left while the batch ran
                    continue
                if isinstance(answer, Exception):
                    self._settle_error(claim, answer)
                else:
                    claim.submission.keep(claim.place, answer)
                    answered += 1
        if answered:
            self.count("ok", answered)

    def _settle_error(self, claim: Claim, error: Exception) -> None:
        submission = claim.submission
        self.count(outcome_of(error), 1)
        if submission.keeps_errors:
            submission.keep(claim.place, error)
        else:
            submission.unanswered -= 1
            self.end(submission, "cancelled", error)


def _give_up(item: QueuedItem[Any], submission: Submission[Any]) -> bool:
    """Take the submission's claims off the item; whether nobody waits for it any more."""
    had_claims = bool(item.claims)
    item.claims = [claim for claim in item.claims if claim.submission is not submission]
    return had_claims and not item.claims

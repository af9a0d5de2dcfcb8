"""The values of labels that come from the code, and what others may add to a count."""

from typing import Literal, Protocol

Outcome = Literal["ok", "client_error", "shed", "expired", "cancelled", "failed", "not_ready"]
ItemOutcome = Literal["ok", "client_error", "shed", "expired", "cancelled", "failed"]
Stage = Literal["decode", "tokenize", "queue", "inference", "postprocess"]
ReleaseReason = Literal["full", "idle", "deadline", "age"]
LookUp = Literal["hit", "shared", "miss"]

UNKNOWN = "unknown"  # stands for a model that was never loaded


class RunTrace(Protocol):
    """Follows one batch while its items are inside; metrics alone have none."""

    def left(self, count: int) -> None:
        """So many items have their answers, or are given up."""

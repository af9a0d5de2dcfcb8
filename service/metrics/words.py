"""The values of labels that come from the code."""

from typing import Literal

Outcome = Literal["ok", "client_error", "shed", "expired", "cancelled", "failed", "not_ready"]
ItemOutcome = Literal["ok", "client_error", "shed", "expired", "cancelled", "failed"]
Stage = Literal["decode", "tokenize", "queue", "inference", "postprocess"]
ReleaseReason = Literal["full", "idle", "deadline", "age"]
LookUp = Literal["hit", "shared", "miss"]

UNKNOWN = "unknown"  # stands for a model that was never loaded

"""What the process counts, as one object with its own Prometheus registry.

One module a family of series: a new one is a class that makes its series with `Maker`, an attribute
of `Metrics` (of the process) or `ModelMetrics` (of one model), and one method for each event.

Label children are made once and kept, since looking one up costs as much as counting. A model's
name becomes a label only after that model was loaded; text that a user sent never does.
"""

from service.metrics.model import ModelMetrics
from service.metrics.process import Metrics
from service.metrics.series import DURATION_BUCKETS
from service.metrics.words import (
    UNKNOWN,
    ItemOutcome,
    LookUp,
    Outcome,
    ReleaseReason,
    RunTrace,
    Stage,
)

__all__ = [
    "DURATION_BUCKETS",
    "UNKNOWN",
    "ItemOutcome",
    "LookUp",
    "Metrics",
    "ModelMetrics",
    "Outcome",
    "ReleaseReason",
    "RunTrace",
    "Stage",
]

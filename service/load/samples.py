"""What became of each request, and what that amounts to."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

OK = 200
REFUSED = (429, 503)
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(slots=True)
class Samples:
    """One entry a request in each column, in the order of the answers; times in seconds."""

    intended_s: array[float] = field(default_factory=lambda: array("d"))
    sent_s: array[float] = field(default_factory=lambda: array("d"))
    done_s: array[float] = field(default_factory=lambda: array("d"))
    status: array[int] = field(default_factory=lambda: array("h"))

    @classmethod
    def together(cls, runs: Iterable[Samples]) -> Samples:
        """Those of several runs, one run after another."""
        both = cls()
        for run in runs:
            both.intended_s.extend(run.intended_s)
            both.sent_s.extend(run.sent_s)
            both.done_s.extend(run.done_s)
            both.status.extend(run.status)
        return both

    def add(self, intended_s: float, sent_s: float, done_s: float, status: int) -> None:
        """One request is over."""
        self.intended_s.append(intended_s)
        self.sent_s.append(sent_s)
        self.done_s.append(done_s)
        self.status.append(status)

    def latencies_s(self, *statuses: int) -> list[float]:
        """From the time when it was meant to be sent to the end of the answer."""
        columns = zip(self.intended_s, self.done_s, self.status, strict=True)
        return [done - intended for intended, done, status in columns if status in statuses]

    def lags_s(self) -> list[float]:
        """How much later than intended each request was sent."""
        return [sent - due for due, sent in zip(self.intended_s, self.sent_s, strict=True)]


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers; latencies in milliseconds by percentile, None where there were none.

    `good` counts answers with 200 within the objective, or all with 200 where there is none.
    """

    offered_per_s: float
    requests: int
    seconds: float
    good: int
    statuses: dict[int, int]
    latency_ms: dict[str, float] | None
    refusal_ms: dict[str, float] | None
    lag_p99_ms: float

    @property
    def ok_per_s(self) -> float:
        """Answers with 200 a second."""
        return self.statuses.get(OK, 0) / self.seconds

    @property
    def good_per_s(self) -> float:
        """Goodput."""
        return self.good / self.seconds

    @property
    def good_share(self) -> float:
        """Of all requests that were to be sent."""
        return self.good / self.requests if self.requests else 0.0

    def as_json(self) -> dict[str, Any]:
        """For files."""
        derived = ("ok_per_s", "good_per_s", "good_share")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def summarise(
    samples: Samples, seconds: float, *, offered: int | None = None, slo_s: float | None = None
) -> Summary:
    """`offered` is how many were to be sent, where some have no answer even now."""
    latencies = sorted(samples.latencies_s(OK))
    requests = len(samples.status) if offered is None else offered
    within = latencies if slo_s is None else [found for found in latencies if found <= slo_s]
    return Summary(
        offered_per_s=requests / seconds,
        requests=requests,
        seconds=seconds,
        good=len(within),
        statuses=dict(sorted(Counter(samples.status).items())),
        latency_ms=_percentiles_ms(latencies),
        refusal_ms=_percentiles_ms(sorted(samples.latencies_s(*REFUSED))),
        lag_p99_ms=percentile(sorted(samples.lags_s()), 99.0) * 1000 if samples.status else 0.0,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least value that `share` percent of the ordered values do not exceed."""
    place = -(-len(ordered) * share // 100) - 1  # rounded up
    return ordered[max(0, int(place))]


def _percentiles_ms(ordered: Sequence[float]) -> dict[str, float] | None:
    if not ordered:
        return None
    return {f"p{share:g}": percentile(ordered, share) * 1000 for share in PERCENTILES}

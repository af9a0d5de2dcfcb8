"""Makes series with the prefix of the project, and knows the usual edges of histograms."""

from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.metrics.backlog import Backlog, counter_of, histogram_of

# The edges that service level objectives may name, in seconds.
DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Maker:
    """Makes series in one registry. What counters and histograms are told costs next to nothing,
    and is there when the registry is read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._backlog = backlog = Backlog()
        self._counter, self._histogram = counter_of(backlog), histogram_of(backlog)

    def noted(self, settle: Callable[[], None]) -> Callable[[], None]:
        """Have `settle` called, by one thread at a time, before any series is read: it counts what
        somebody noted in a list of their own. What is returned settles now, if nobody does."""
        self._backlog.sources.append(settle)
        return partial(self._backlog.settle, waits=False)

    def counter(self, name: str, help_text: str, *labels: str) -> Counter:
        """A counter slipway_`name`, which is exported with _total at its end."""
        return self._counter(f"slipway_{name}", help_text, labels, registry=self._registry)

    def gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        """A gauge slipway_`name`."""
        return Gauge(f"slipway_{name}", help_text, labels, registry=self._registry)

    def histogram(
        self, name: str, help_text: str, *labels: str, buckets: Sequence[float] = DURATION_BUCKETS
    ) -> Histogram:
        """A histogram slipway_`name`; one without `buckets` measures seconds."""
        return self._histogram(
            f"slipway_{name}", help_text, labels, buckets=buckets, registry=self._registry
        )

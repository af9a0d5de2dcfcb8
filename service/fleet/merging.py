"""Many pages of metrics as one. A page is what a registry collects, as plain values."""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

Key = tuple[str, tuple[tuple[str, str], ...]]  # name of a sample, and its labels

# Of gauges: what adds up over processes. Of all others the largest is told, which is right for
# what all see alike (limits, versions) and for how bad it is (waiting times).
ADDED = frozenset(
    {
        "slipway_busy_workers",
        "slipway_inflight_requests",
        "slipway_queue_depth",
        "slipway_queue_limit",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    }
)
LEAST = frozenset({"slipway_model_ready"})  # one that is not ready is what is worth knowing
# Counted by the kernel for all processes of the container together.
COMMON = ("slipway_cpu_periods", "slipway_cpu_throttled")


class Page:
    """What one or several processes tell."""

    def __init__(self, families: Iterable[Mapping[str, Any]] = ()) -> None:
        self._families: dict[str, tuple[str, str]] = {}
        self._samples: dict[str, dict[Key, float]] = {}
        self._exemplars: dict[str, dict[Key, Exemplar]] = {}  # of those samples that have one
        for family in families:
            self._add(family)

    @classmethod
    def of(cls, registry: CollectorRegistry) -> "Page":
        """What this registry says now."""
        return cls(_plain(registry))

    def plain(self) -> list[dict[str, Any]]:
        """For the way to another process."""
        return [
            {
                "name": name,
                "type": kind,
                "help": text,
                "samples": [
                    _row(key[0], dict(key[1]), value, self._exemplars[name].get(key))
                    for key, value in self._samples[name].items()
                ],
            }
            for name, (kind, text) in self._families.items()
        ]

    def add(self, families: Iterable[Mapping[str, Any]]) -> None:
        """Merge another page into this one."""
        for family in families:
            self._add(family)

    def only_counts(self) -> "Page":
        """What only grows, and so must not fall when a process is replaced."""
        return Page(
            family
            for family in self.plain()
            if family["type"] in ("counter", "histogram", "summary")
            and not _is_common(family["name"])
        )

    def registry(self) -> CollectorRegistry:
        """A registry that says this."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Fixed(self._metrics()))
        return registry

    def _add(self, family: Mapping[str, Any]) -> None:
        name, kind = family["name"], family["type"]
        self._families.setdefault(name, (kind, family["help"]))
        known = self._samples.setdefault(name, {})
        exemplars = self._exemplars.setdefault(name, {})
        for sample_name, labels, value, *rest in family["samples"]:
            key = (sample_name, tuple(labels.items()))
            found = known.get(key)
            known[key] = value if found is None else _together(name, kind, found, value)
            if rest:
                exemplar = Exemplar(*rest)
                exemplars[key] = max(exemplars.get(key, exemplar), exemplar, key=_when_s)

    def _metrics(self) -> list[Metric]:
        metrics = []
        for name, (kind, text) in self._families.items():
            metric = Metric(name, text, kind)
            for (sample_name, labels), value in self._samples[name].items():
                exemplar = self._exemplars[name].get((sample_name, labels))
                metric.add_sample(sample_name, dict(labels), value, exemplar=exemplar)
            metrics.append(metric)
        return metrics


class _Fixed(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _plain(registry: CollectorRegistry) -> Iterable[dict[str, Any]]:
    for metric in registry.collect():
        samples = [_row(s.name, s.labels, s.value, s.exemplar) for s in metric.samples]
        yield {
            "name": metric.name,
            "type": metric.type,
            "help": metric.documentation,
            "samples": samples,
        }


def _row(
    name: str, labels: Mapping[str, str], value: float, exemplar: Exemplar | None
) -> list[Any]:
    """A sample as plain values; only one with an exemplar has the last three."""
    if exemplar is None:
        return [name, labels, value]
    when_s = None if exemplar.timestamp is None else float(exemplar.timestamp)
    return [name, labels, value, exemplar.labels, exemplar.value, when_s]


def _when_s(exemplar: Exemplar) -> float:
    return float(exemplar.timestamp or 0.0)


def _is_common(name: str) -> bool:
    return name.startswith(COMMON)


def _together(name: str, kind: str, one: float, other: float) -> float:
    if name in LEAST:
        return min(one, other)
    if name in ADDED or (kind in ("counter", "histogram", "summary") and not _is_common(name)):
        return one + other
    return max(one, other)

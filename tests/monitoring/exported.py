"""What the service really exports, read from a live registry in which everything happened once."""

from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector

from service.cgroup import CpuLimit, Throttling
from service.metrics import ItemOutcome, Metrics, Outcome, Stage
from service.metrics.resources import Resources

# what Prometheus adds to every series, and the series that it makes itself
TARGET_LABELS = {"job", "instance"}
OWN = {"up": TARGET_LABELS}

VALUES: dict[str, set[str]] = {
    "outcome": {*get_args(Outcome), *get_args(ItemOutcome)},
    "stage": set(get_args(Stage)),
    "result": {"ok", "failed"},
    "job": {"slipway", "prometheus"},
}


def exported() -> dict[str, set[str]]:
    """The labels of every series by its name."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    ProcessCollector(registry=registry)
    limit = CpuLimit(1.0, Throttling(periods=1, throttled_periods=0, throttled_s=0.0))
    Resources(registry, lambda: limit, lambda: 1)
    metrics.describe_build("0")
    metrics.model_load_ended(ok=True, seconds=1.0)
    model = metrics.model("m", 1)
    model.expects(labels=("good",), texts=True)
    model.texts_read([1], truncated=0, unknown=0)
    model.loaded(variant="fp32", providers=("CPUExecutionProvider",), sha256="0" * 64)
    model.self_tested(variant="fp32", provider="cpu", passed=True)
    model.queue_opened(lambda: 0, 1, lambda: 0.0, 1.0)
    metrics.request_began()
    metrics.request_ended("/v1/classify", "m", "1", "ok", 0.1)
    found = {name: set(labels) for name, labels in OWN.items()}
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels, TARGET_LABELS)
    return found


def edges(metric: str) -> set[str]:
    """The values of `le` that this histogram has."""
    registry = CollectorRegistry()
    metrics = Metrics.create(registry)
    metrics.model("m", 1)
    metrics.request_began()
    metrics.request_ended("/v1/classify", "m", "1", "ok", 0.1)
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {sample.labels["le"] for sample in samples if sample.name == metric}

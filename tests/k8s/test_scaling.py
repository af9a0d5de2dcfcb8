"""What the autoscalers and alerts ask Prometheus is what the server really tells."""

import json
import re
from pathlib import Path

import pytest

from model_zoo.catalog import Catalog
from tests.k8s.manifests import FILES, K8S, ROOT, Object, amount, component, read, walk
from tests.k8s.prometheus_rule import SOURCES, TARGET, prometheus_rule
from tests.monitoring.exported import exported

SIMULATED = ROOT / "bench" / "results" / "scaling_targets.json"
PUBLISHED = {ref.name for ref in Catalog().list()}

# What Prometheus adds to the series of a pod; what the adapter puts in its place.
ADDED = {"namespace", "job", "pod", "track", "instance"}
SERIES = re.compile(r"\b(slipway_[a-z_]+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def asked(path: Path) -> set[tuple[str, str]]:
    """The series that a file names, each with what stands in its braces."""
    texts = [part for part in walk(read(path)) if isinstance(part, str)]
    return {found for text in texts for found in SERIES.findall(text)}


def autoscaler() -> Object:
    return dict(component("hpa", "autoscaler.yaml")["spec"])


def scaled_object() -> Object:
    return dict(component("keda", "scaled-object.yaml")["spec"])


def adapter_rules() -> dict[str, Object]:
    found = component("hpa", "adapter-rules.yaml")["rules"]["custom"]
    return {rule["name"]["as"]: rule for rule in found}


def targets() -> dict[str, float]:
    """What the HorizontalPodAutoscaler wants of each metric, per pod."""
    metrics = [metric["pods"] for metric in autoscaler()["metrics"]]
    return {found["metric"]["name"]: amount(found["target"]["averageValue"]) for found in metrics}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(K8S)))
def test_a_series_that_is_asked_for_is_exported_with_these_labels(path: Path) -> None:
    known = exported()
    for name, labels in asked(path):
        if name in adapter_rules():
            continue  # made by the adapter, under this name
        assert name in known
        assert {*LABEL.findall(labels)} <= known[name] | ADDED


def test_every_metric_of_the_autoscaler_has_a_rule_of_the_adapter() -> None:
    assert targets().keys() == adapter_rules().keys()
    for rule in adapter_rules().values():
        assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}
        assert "<<.LabelMatchers>>" in rule["metricsQuery"]
        assert "<<.GroupBy>>" in rule["metricsQuery"]


def test_the_fleet_follows_the_queue_and_never_the_processor() -> None:
    kinds = {metric["type"] for metric in autoscaler()["metrics"]}
    kinds |= {trigger["type"] for trigger in scaled_object()["triggers"]}
    assert kinds == {"Pods", "prometheus"}
    (trigger,) = scaled_object()["triggers"]
    assert "slipway_estimated_queue_seconds" in trigger["metadata"]["query"]
    assert targets().keys() == {"slipway_estimated_queue_seconds"}


def test_both_autoscalers_want_the_same() -> None:
    wanted = [float(trigger["metadata"]["threshold"]) for trigger in scaled_object()["triggers"]]
    assert wanted == pytest.approx([*targets().values()])
    advanced = scaled_object()["advanced"]["horizontalPodAutoscalerConfig"]
    assert advanced["behavior"] == autoscaler()["behavior"]
    assert scaled_object()["minReplicaCount"] == autoscaler()["minReplicas"]
    assert scaled_object()["maxReplicaCount"] == autoscaler()["maxReplicas"]


def test_the_target_is_the_one_that_the_simulation_found() -> None:
    """Of those at which a steady load and a day's are answered but for one item in a thousand."""
    (target,) = targets().values()
    cases = json.loads(SIMULATED.read_text(encoding="utf-8"))["cases"]
    calm = [case for case in cases if case["signal"] == "seconds" and case["trace"] != "bursts"]
    models = {case["model"] for case in calm if case["value"] == target}
    tasks = {Catalog().open(name).manifest.task for name in models}
    assert models <= PUBLISHED
    assert tasks == {Catalog().open(name).manifest.task for name in PUBLISHED}
    worst: dict[float, float] = {}
    for case in calm:
        worst[case["value"]] = max(worst.get(case["value"], 0.0), case["unanswered"])
    assert target == max(value for value, unanswered in worst.items() if unanswered <= 0.001)


def test_a_lost_prometheus_is_an_error_and_shrinks_nothing() -> None:
    for trigger in scaled_object()["triggers"]:
        assert trigger["metadata"]["ignoreNullValues"] == "false"
    fallback = scaled_object()["fallback"]
    assert fallback["behavior"] == "currentReplicasIfHigher"
    assert fallback["replicas"] >= scaled_object()["minReplicaCount"]


def test_the_queries_name_the_namespace_and_the_job_that_the_monitor_makes() -> None:
    monitor = component("monitoring", "service-monitor.yaml")
    service = read(K8S / "base" / "service.yaml")
    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    assert monitor["spec"]["endpoints"][0]["port"] in {
        port["name"] for port in service["spec"]["ports"]
    }
    namespace = read(K8S / "base" / "kustomization.yaml")["namespace"]
    job = service["metadata"]["name"]
    for trigger in scaled_object()["triggers"]:
        assert f'namespace="{namespace}",job="{job}"' in trigger["metadata"]["query"]


@pytest.mark.skipif(not SOURCES[0].exists(), reason="there are no rules of Prometheus")
def test_the_cluster_has_the_rules_that_everybody_has() -> None:
    due = "run python -m tests.k8s.prometheus_rule"
    assert read(TARGET) == prometheus_rule(), due


@pytest.mark.parametrize("page", ["docs/kubernetes.md", "docs/runbook.md"])
def test_every_alert_leads_to_a_heading(page: str) -> None:
    if not (ROOT / page).exists():
        pytest.skip(f"there is no {page}")
    text = (ROOT / page).read_text(encoding="utf-8")
    headings = {found.lower() for found in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}
    rules = [rule for group in read(TARGET)["spec"]["groups"] for rule in group["rules"]]
    links = [rule["annotations"]["runbook"].split("#") for rule in rules if "alert" in rule]
    assert {heading for where, heading in links if where == page} <= headings

"""Makes the PrometheusRule of k8s/ from the rules in monitoring/ and those for a cluster alone.

python -m tests.k8s.prometheus_rule        writes it; a test tells when that is due
"""

from typing import Any

from tests.k8s.manifests import K8S, ROOT, read, yaml

RULES = ROOT / "monitoring" / "prometheus" / "rules"
FOLDER = K8S / "components" / "monitoring"
TARGET = FOLDER / "prometheus-rule.yaml"
SOURCES = (RULES / "slo.yml", RULES / "service.yml", FOLDER / "cluster-rules.yaml")
HEAD = """\
# Made by `python -m tests.k8s.prometheus_rule` from monitoring/prometheus/rules/ and
# cluster-rules.yaml; change those.
"""


def prometheus_rule() -> dict[str, Any]:
    """The object, with every group of the sources in their order."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "slipway",
            "namespace": "slipway",
            "labels": {"app.kubernetes.io/name": "slipway"},
        },
        "spec": {"groups": [group for path in SOURCES for group in read(path)["groups"]]},
    }


def main() -> None:
    """Write the file."""
    text = yaml.safe_dump(prometheus_rule(), sort_keys=False, width=98)
    TARGET.write_text(HEAD + text, encoding="utf-8")


if __name__ == "__main__":
    main()

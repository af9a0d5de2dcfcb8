"""The files below k8s/ say what the server, its settings and its way to end really are."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.app import CLOSE_S
from service.cli.parser import make_parser
from service.http.probes import OneProcess, probe_routes
from service.metrics import Metrics
from service.repository.lifecycle import Lifecycle
from service.repository.models import Models
from service.settings import Settings
from tests.k8s.manifests import (
    COMPONENTS,
    FILES,
    K8S,
    OVERLAYS,
    ROOT,
    amount,
    component,
    containers,
    deployment,
    read,
    server,
    settings,
)
from tests.project.tree import pyproject

MODELS = 3  # image classification, sentiment, translation
SPARE_S = 5.0
DECODED_BYTES_A_PIXEL = 8  # RGBA as Pillow reads it, and the copy that is scaled

BASE = K8S / "base"
POD = deployment()["spec"]["template"]["spec"]
NAME = {"app.kubernetes.io/name": "slipway"}


def served(*components: str) -> Settings:
    return Settings.load(environ=settings(*components))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(K8S)))
def test_every_file_is_yaml_and_says_something(path: Path) -> None:
    assert read(path)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_is_used_by_an_overlay(name: str) -> None:
    users = [read(K8S / "overlays" / overlay / "kustomization.yaml") for overlay in OVERLAYS]
    users += [component(other) for other in COMPONENTS]
    assert any(path.endswith(f"/{name}") for user in users for path in user.get("components", ()))


@pytest.mark.parametrize("name", ["", *COMPONENTS])
def test_the_server_accepts_the_settings(name: str) -> None:
    assert served(*filter(None, [name]))


def test_the_server_listens_where_the_service_sends() -> None:
    port = server()["ports"][0]
    assert served().host == "0.0.0.0"
    assert served().port == port["containerPort"]
    assert [known["targetPort"] for known in read(BASE / "service.yaml")["spec"]["ports"]] == [
        port["name"]
    ]


def test_the_probes_ask_routes_that_exist() -> None:
    models = Models(Lifecycle())
    outlook = OneProcess(models, Metrics.create(CollectorRegistry()))
    routes = probe_routes(models, outlook).routes
    known = {getattr(route, "path", "") for route in routes}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server()[probe]["httpGet"]["path"] in known


def test_the_probes_wait_five_minutes_for_the_models_and_never_restart_for_load() -> None:
    startup, readiness, liveness = (
        server()[f"{probe}Probe"] for probe in ("startup", "readiness", "liveness")
    )
    assert startup["httpGet"]["path"] == readiness["httpGet"]["path"] == "/readyz"
    assert liveness["httpGet"]["path"] == "/livez"
    assert startup["periodSeconds"] * startup["failureThreshold"] == 300
    assert (readiness["periodSeconds"], readiness["failureThreshold"]) == (5, 3)
    assert (liveness["periodSeconds"], liveness["failureThreshold"]) == (10, 3)


def test_everything_accepted_is_answered_before_the_pod_is_killed() -> None:
    found = served()
    pre_stop_s = server()["lifecycle"]["preStop"]["sleep"]["seconds"]
    leaving_s = pre_stop_s + found.pre_drain_s + found.drain_s + MODELS * CLOSE_S
    assert pre_stop_s > 0
    assert found.pre_drain_s > 0
    assert found.drain_s >= found.request_timeout_s + SPARE_S
    assert POD["terminationGracePeriodSeconds"] >= leaving_s + SPARE_S


def test_a_rollout_starts_the_new_pod_first() -> None:
    assert deployment()["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }


def test_the_memory_limit_holds_a_full_queue_of_the_largest_images() -> None:
    found = served()
    limits = server()["resources"]["limits"]
    waiting = 2 * found.max_queue_size * found.max_image_bytes  # interactive and bulk
    decoding = amount(limits["cpu"]) * found.max_image_pixels * DECODED_BYTES_A_PIXEL
    assert waiting + decoding <= 0.75 * amount(limits["memory"])


@pytest.mark.parametrize(
    "container",
    [
        server(),
        *containers(component("models-mounted", "deployment.yaml")),
        *containers(component("models-copied", "copy.yaml")),
    ],
    ids=lambda container: container["name"],
)
def test_a_container_fits_the_restricted_profile(container: dict[str, object]) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_pod_runs_as_the_user_of_the_image_and_without_a_token() -> None:
    context = POD["securityContext"]
    assert context["runAsNonRoot"]
    assert {context[name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    assert read(BASE / "service-account.yaml")["automountServiceAccountToken"] is False
    labels = read(BASE / "namespace.yaml")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.skipif(not (ROOT / "Dockerfile").exists(), reason="there is no Dockerfile")
def test_the_image_has_that_user_and_that_port() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "10001" in dockerfile
    assert f"EXPOSE {served().port}" in dockerfile


def test_cpus_are_whole_and_requests_are_limits() -> None:
    for resources in (
        server()["resources"],
        server(component("gpu", "deployment.yaml"))["resources"],
    ):
        for kind in ("cpu", "memory"):
            assert resources["requests"][kind] == resources["limits"][kind]
        assert amount(resources["limits"]["cpu"]) == int(amount(resources["limits"]["cpu"]))


def test_nothing_leaves_a_pod_and_only_one_port_lets_in() -> None:
    policy = read(BASE / "network-policy.yaml")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert policy["egress"] == []
    assert policy["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    assert policy["podSelector"]["matchLabels"] == NAME


def test_a_drain_of_nodes_leaves_most_pods() -> None:
    budget = read(BASE / "disruption-budget.yaml")["spec"]
    assert budget["maxUnavailable"] == "25%"
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"]["matchLabels"] == NAME


def test_the_image_is_the_version_of_the_project() -> None:
    version = pyproject()["project"]["version"]
    for kustomization in (
        read(BASE / "server" / "kustomization.yaml"),
        component("gpu"),
        read(K8S / "overlays" / "canary" / "kustomization.yaml"),
    ):
        (image,) = kustomization["images"]
        assert image["name"] == "slipway"
        assert image["newTag"] in {version, f"{version}-gpu"}


def test_the_commands_are_commands_of_slipway() -> None:
    checker = containers(component("models-mounted", "deployment.yaml"))
    for container in (server(), *checker):
        program, *arguments = container["command"]
        assert program == "slipway"
        assert make_parser().parse_args(arguments).run


def test_telemetry_is_off() -> None:
    assert {"name": "ORT_DISABLE_TELEMETRY", "value": "1"} in server()["env"]


def test_mounted_models_are_checked_where_they_are_served_from() -> None:
    patch = component("models-mounted", "deployment.yaml")
    pod = patch["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        (mount,) = container["volumeMounts"]
        assert mount["mountPath"] == str(served("models-mounted").models)
        assert mount["readOnly"]
    assert pod["initContainers"][0]["command"][2:] == ["--verify", "--models", "/models"]


def test_no_chosen_provider_may_be_replaced_by_another() -> None:
    assert served("cpu").providers == ("cpu",)
    assert served("gpu").providers == ("cuda",)
    assert served("cpu").strict_providers
    assert served("gpu").strict_providers


def test_the_docs_name_every_overlay_and_component() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    for name in (*OVERLAYS, *COMPONENTS):
        assert f"`{name}`" in text

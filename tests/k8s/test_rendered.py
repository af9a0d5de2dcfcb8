"""What kubectl makes of the overlays: every name leads somewhere, every pod is safe."""

from itertools import chain

import pytest

from tests.k8s.manifests import K8S, OVERLAYS, Object, kubectl, render, server, walk

pytestmark = pytest.mark.skipif(
    kubectl() is None, reason="no kubectl that renders; `make test-k8s` fetches one"
)

SCALED = [name for name in OVERLAYS if name.startswith("autoscale")]
WHOLE = [name for name in OVERLAYS if name != "canary"]


def objects(overlay: str, kind: str) -> list[Object]:
    return [found for found in render(K8S / "overlays" / overlay) if found["kind"] == kind]


def one(overlay: str, kind: str) -> Object:
    (found,) = objects(overlay, kind)
    return found


def pod(overlay: str) -> Object:
    return dict(one(overlay, "Deployment")["spec"]["template"]["spec"])


def all_containers(overlay: str) -> list[Object]:
    return [*pod(overlay).get("initContainers", ()), *pod(overlay)["containers"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_come_from_a_map_that_is_there(overlay: str) -> None:
    (source,) = server(one(overlay, "Deployment"))["envFrom"]
    assert source["configMapRef"]["name"] == one(overlay, "ConfigMap")["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_mount_has_its_volume(overlay: str) -> None:
    volumes = {volume["name"] for volume in pod(overlay)["volumes"]}
    mounts = chain.from_iterable(
        found["volumeMounts"] for found in all_containers(overlay) if "volumeMounts" in found
    )
    assert {mount["name"] for mount in mounts} == volumes


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_image_has_a_tag_that_does_not_move(overlay: str) -> None:
    for container in all_containers(overlay):
        _, _, tag = container["image"].partition(":")
        assert tag not in {"", "latest"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_image_that_checks_models_is_the_one_that_serves(overlay: str) -> None:
    images = {found["name"]: found["image"] for found in all_containers(overlay)}
    assert images.get("check-models", images["server"]) == images["server"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_is_limited_and_hardened(overlay: str) -> None:
    for container in all_containers(overlay):
        assert {"cpu", "memory", "ephemeral-storage"} <= {*container["resources"]["limits"]}
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["runAsNonRoot"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_deployment_selects_its_own_pods(overlay: str) -> None:
    spec = one(overlay, "Deployment")["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    for spread in spec["template"]["spec"]["topologySpreadConstraints"]:
        assert spread["labelSelector"] == spec["selector"]


@pytest.mark.parametrize("overlay", WHOLE)
def test_service_budget_and_policy_find_the_pods(overlay: str) -> None:
    labels = one(overlay, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert one(overlay, "Service")["spec"]["selector"].items() <= labels
    budget, policy = one(overlay, "PodDisruptionBudget"), one(overlay, "NetworkPolicy")
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels
    account = one(overlay, "ServiceAccount")["metadata"]["name"]
    assert pod(overlay)["serviceAccountName"] == account


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_lies_in_one_namespace(overlay: str) -> None:
    for found in render(K8S / "overlays" / overlay):
        if found["kind"] != "Namespace":
            assert found["metadata"]["namespace"] == "slipway"


@pytest.mark.parametrize("overlay", SCALED)
def test_an_apply_does_not_set_back_what_the_autoscaler_chose(overlay: str) -> None:
    assert "replicas" not in one(overlay, "Deployment")["spec"]
    kind = "ScaledObject" if objects(overlay, "ScaledObject") else "HorizontalPodAutoscaler"
    target = one(overlay, kind)["spec"]["scaleTargetRef"]["name"]
    assert target == one(overlay, "Deployment")["metadata"]["name"]


def test_a_canary_shares_the_service_and_nothing_else_with_the_stable_pods() -> None:
    canary, stable = one("canary", "Deployment"), one("cpu", "Deployment")
    labels = canary["spec"]["template"]["metadata"]["labels"].items()
    assert one("cpu", "Service")["spec"]["selector"].items() <= labels
    assert not stable["spec"]["selector"]["matchLabels"].items() <= labels
    assert {found["kind"] for found in render(K8S / "overlays" / "canary")} == {
        "Deployment",
        "ConfigMap",
    }
    names = {found["metadata"]["name"] for found in render(K8S / "overlays" / "canary")}
    assert names.isdisjoint(found["metadata"]["name"] for found in render(K8S / "overlays" / "cpu"))


def test_copied_models_are_checked_after_the_copy() -> None:
    names = [found["name"] for found in pod("models-copied")["initContainers"]]
    assert names == ["copy-models", "check-models"]
    copying = pod("models-copied")["initContainers"][0]
    assert copying["command"][-1] == copying["volumeMounts"][0]["mountPath"]


def test_a_gpu_is_asked_for_and_limited_alike() -> None:
    resources = server(one("gpu", "Deployment"))["resources"]
    gpu = "nvidia.com/gpu"
    assert resources["requests"][gpu] == resources["limits"][gpu] == "1"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_of_the_host_is_shared(overlay: str) -> None:
    keys = {key for part in walk(pod(overlay)) if isinstance(part, dict) for key in part}
    assert keys.isdisjoint({"hostPath", "hostNetwork", "hostPID", "hostIPC", "hostPort"})

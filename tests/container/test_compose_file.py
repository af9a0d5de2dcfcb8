"""The stack is hardened, and agrees with the service and with the monitoring."""

import re
from typing import Any

import pytest

from service.settings import SETTINGS, Settings
from tests.container.files import COMPOSE, ROOT, compose, of

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = ("slipway", "slipway-gpu")
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

each_service = pytest.mark.parametrize("name", SERVICES)
each_of_ours = pytest.mark.parametrize("name", OURS)


def size(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def test_the_file_has_no_section_that_compose_1_29_refuses() -> None:
    assert compose().keys() == {"x-hardened", "x-slipway", "services", "volumes"}
    known = {
        *("build", "cap_drop", "command", "cpus", "depends_on", "deploy", "environment"),
        *("healthcheck", "image", "logging", "mem_limit", "memswap_limit", "pids_limit"),
        *("ports", "profiles", "read_only", "restart", "security_opt", "stop_grace_period"),
        *("tmpfs", "user", "volumes"),
    }
    assert {key for service in SERVICES.values() for key in service} <= known


@each_service
def test_a_container_can_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert size(service["mem_limit"]) > 0
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert "privileged" not in service
    assert all(volume.endswith(":ro") for volume in service.get("volumes", []) if "./" in volume)


@each_service
def test_a_port_is_open_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@each_of_ours
def test_the_service_runs_as_in_its_image(name: str) -> None:
    service = SERVICES[name]
    assert [service["user"]] == of("bare", "USER")
    assert service["ports"][0].endswith(f":{Settings().port}")
    assert "healthcheck" not in service
    assert service["memswap_limit"] == service["mem_limit"]


@each_of_ours
def test_settings_are_such_as_exist_and_are_accepted(name: str) -> None:
    given = SERVICES[name].get("environment", {})
    assert given.keys() <= {setting.variable for setting in SETTINGS}
    Settings.load(environ=given)


def test_variables_of_the_shell_mean_what_they_mean_to_the_service() -> None:
    used = set(re.findall(r"\$\{(SLIPWAY_\w+)", COMPOSE.read_text(encoding="utf-8")))
    beside = {"SLIPWAY_GPU_HOST_PORT"}
    assert used - beside <= {setting.variable for setting in SETTINGS}


def test_the_page_tells_every_variable_of_the_shell() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    page = (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")
    assert {name for name in used if f"`{name}`" not in page} == set()


@each_of_ours
def test_it_waits_longer_for_the_end_than_the_service_needs(name: str) -> None:
    closing_s = 5.0
    grace_s = float(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace_s > Settings().drain_s + closing_s


def test_the_gpu_flavour_is_asked_for_and_must_be_used() -> None:
    service = SERVICES["slipway-gpu"]
    assert service["profiles"] == ["gpu"]
    assert service["build"]["args"]["FLAVOUR"] == "gpu"
    loaded = Settings.load(environ=service["environment"])
    assert (loaded.providers, loaded.strict_providers) == (("cuda",), True)


def test_a_dependency_is_waited_for_until_it_is_healthy() -> None:
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_spans_go_to_the_collector_that_a_profile_starts() -> None:
    collector = SERVICES["jaeger"]
    assert collector["profiles"] == ["tracing"]
    for name in OURS:
        assert SERVICES[name]["environment"]["SLIPWAY_TRACING_ENDPOINT"] == "", "off unless asked"
    variable = '"${SLIPWAY_TRACING_ENDPOINT:-}"'
    assert COMPOSE.read_text(encoding="utf-8").count(variable) == len(OURS)
    page = (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")
    assert "SLIPWAY_TRACING_ENDPOINT=http://jaeger:4318 docker compose --profile tracing up" in page
    assert "--enable-feature=exemplar-storage" in SERVICES["prometheus"]["command"]


@pytest.mark.parametrize("name", ["prometheus", "grafana", "jaeger"])
def test_a_foreign_image_has_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose()["volumes"] or (ROOT / source).exists()

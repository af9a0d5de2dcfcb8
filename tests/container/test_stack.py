"""docker-compose.yml as Compose runs it: the service, a real Prometheus, and the alerts."""

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.container.docker import (
    BASE_IMAGE,
    ENGINE,
    build,
    docker,
    inspect,
    needs_engine,
    run,
    says,
)
from tests.container.files import COMPOSE, ROOT, compose, write_yaml

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), needs_engine]

PROJECT = "slipway-test"
PATIENCE_S = 120.0
# Prometheus as a distribution packs it, in the place of the image that no registry gives us.
STAND_IN = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY prometheus promtool /bin/
RUN mkdir /prometheus && chown 65534:65534 /prometheus
USER 65534
ENTRYPOINT ["/bin/prometheus"]
"""
# Its promtool has no `check ready` yet.
STAND_IN_HEALTH = (
    "import urllib.request as r; r.urlopen('http://127.0.0.1:9090/-/ready', timeout=4)"
)


def compose_command() -> list[str]:
    if ENGINE and says(ENGINE, "compose", "version"):
        return [ENGINE, "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


@dataclass
class Stack:
    """The running project, and Prometheus as it is published to this machine."""

    folder: Path
    environment: dict[str, str]
    prometheus: httpx.Client
    service: httpx.Client

    def compose(self, *arguments: str) -> str:
        files = ["--file", str(COMPOSE), "--file", str(self.folder / "override.yml")]
        command = [*compose_command(), "--project-name", PROJECT, *files, *arguments]
        return run(*command, timeout_s=300.0, env=self.environment, cwd=ROOT)

    def container(self, service: str) -> dict[str, Any]:
        return inspect(self.compose("ps", "--quiet", service))

    def ask(self, expression: str) -> list[dict[str, Any]]:
        answer = self.prometheus.get("/api/v1/query", params={"query": expression}).json()
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def until_it_is_ready(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            # the port is open before the server is, and then closes again at once
            with contextlib.suppress(httpx.TransportError):
                if self.service.get("/readyz").status_code == 200:
                    return
        raise AssertionError(self.compose("logs", "--no-color"))

    def until_it_answers(self, expression: str) -> list[dict[str, Any]]:
        deadline_s = time.monotonic() + PATIENCE_S
        while not (found := self.ask(expression)):
            assert time.monotonic() < deadline_s, (expression, self.compose("logs", "--no-color"))
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def prometheus_image(folder: Path) -> str:
    """A stand-in that is made of the programs on this machine."""
    for program in ("prometheus", "promtool"):
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"needs {program} (apt-get install prometheus)")
        shutil.copy(found, folder / program)
    (folder / "Dockerfile").write_text(STAND_IN, encoding="utf-8")
    return build(folder, "slipway-test:prometheus")


@pytest.fixture(scope="module")
def stack(bare_image: str, zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not compose_command():
        pytest.skip("needs Compose (apt-get install docker-compose)")
    folder = tmp_path_factory.mktemp("stack")
    stand_in = {
        "image": prometheus_image(tmp_path_factory.mktemp("prometheus")),
        "healthcheck": {"test": ["CMD", "python", "-c", STAND_IN_HEALTH]},
    }
    ours = {"image": bare_image, "volumes": [f"{zoo}:/models:ro"]}
    write_yaml(folder / "override.yml", {"services": {"slipway": ours, "prometheus": stand_in}})
    ports = {name: str(free_port()) for name in ("SLIPWAY_PORT", "PROMETHEUS_PORT")}
    environment = {**os.environ, **ports, "CPUS": "1", "BASE_IMAGE": BASE_IMAGE}
    transport = httpx.HTTPTransport(retries=10)
    with (
        httpx.Client(
            base_url=f"http://127.0.0.1:{ports['PROMETHEUS_PORT']}", transport=transport
        ) as prometheus,
        httpx.Client(base_url=f"http://127.0.0.1:{ports['SLIPWAY_PORT']}") as service,
    ):
        found = Stack(folder, environment, prometheus, service)
        try:
            found.compose("up", "--detach", "--no-build", "slipway", "prometheus")
            found.until_it_is_ready()
            yield found
        finally:
            found.compose("down", "--volumes")


def test_compose_accepts_the_file_with_every_profile(stack: Stack) -> None:
    stack.compose("config", "--quiet")
    everything = stack.compose("--profile", "gpu", "config", "--services")
    assert set(everything.splitlines()) == set(compose()["services"])


def test_prometheus_finds_and_scrapes_the_service_by_its_name(stack: Stack) -> None:
    (found,) = stack.until_it_answers('up{job="slipway"} == 1')
    assert found["metric"]["instance"] == "slipway"


def test_every_rule_is_evaluated(stack: Stack) -> None:
    stack.until_it_answers("slipway:slo_budget:ratio")
    groups = stack.prometheus.get("/api/v1/rules").json()["data"]["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]
    assert evaluated
    assert [rule["name"] for rule in evaluated if rule["health"] == "err"] == []


def test_what_is_asked_of_the_service_is_counted_in_prometheus(stack: Stack) -> None:
    assert stack.service.post("/v1/sentiment", json={"text": "What a film!"}).status_code == 200
    found = stack.until_it_answers('slipway_requests_total{endpoint="/v1/sentiment"} > 0')
    assert {series["metric"]["outcome"] for series in found} == {"ok"}


@pytest.mark.parametrize("service", ["slipway", "prometheus"])
def test_the_hardening_is_in_force(stack: Stack, service: str) -> None:
    host = stack.container(service)["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] == 256
    assert all(b["HostIp"] == "127.0.0.1" for ports in host["PortBindings"].values() for b in ports)


def test_the_service_tells_the_memory_limit_of_its_container(stack: Stack) -> None:
    (limit,) = stack.until_it_answers('slipway_memory_limit_bytes{instance="slipway"}')
    assert int(limit["value"][1]) == stack.container("slipway")["HostConfig"]["Memory"]


def test_a_stop_is_a_drain(stack: Stack) -> None:
    stack.compose("stop", "slipway")
    labels = (f"com.docker.compose.project={PROJECT}", "com.docker.compose.service=slipway")
    filters = [f"--filter=label={label}" for label in labels]
    ended = inspect(docker("ps", "--all", "--quiet", *filters))
    assert ended["State"]["ExitCode"] == 0

"""Every panel, rule and alert asked of a real Prometheus that scrapes a real, driven service."""

import io
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests import tiny_zoo
from tests.e2e.conftest import Server, running
from tests.monitoring import promql
from tests.monitoring.limited import write_limits
from tests.monitoring.tree import (
    PROMETHEUS,
    RULES,
    Query,
    alerts,
    panel_queries,
    read_yaml,
    rule_queries,
    rules,
    variable_queries,
    yaml,
)
from tests.repository import golden_models

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="needs prometheus (apt-get install prometheus)",
    ),
]

INTERVAL = "1s"
PATIENCE_S = 150.0
QUEUE = 8
# What Grafana puts in the place of its variables.
VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "5m",
    "$instance": ".*",
}
# What a model has no series for: images have no tokens, and translations no labels.
OF_TEXTS = {"Padding", "Length", "Cut short", "Unknown tokens"}
SILENT: dict[str, set[str]] = {
    tiny_zoo.TEXTS: set(),
    tiny_zoo.TRANSLATOR: {"Labels", "Unknown tokens"},
    tiny_zoo.IMAGES: OF_TEXTS,
}


@dataclass
class Watched:
    """A running service, and the Prometheus that scrapes it."""

    server: Server
    prometheus: httpx.Client
    image: bytes
    rounds: int = 0

    def ask(self, expression: str) -> list[dict[str, Any]]:
        answer = self.prometheus.post("/api/v1/query", data={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer.get("error"))
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def has_data(self, expression: str) -> bool:
        """Whether there is at least one number; no result and NaN are what an empty panel shows."""
        return any(math.isfinite(float(found["value"][1])) for found in self.ask(expression))

    def drive(self) -> None:
        """One round of everything that clients and the kernel do, mistakes included."""
        self.rounds += 1
        write_limits(self.server.home, self.rounds)
        client = self.server.client
        with ThreadPoolExecutor(QUEUE) as clients:
            for _ in range(QUEUE):
                clients.submit(client.post, "/v1/classify", content=self.image)
                clients.submit(client.post, "/v1/sentiment", json={"text": "What a film!"})
                clients.submit(client.post, "/v1/translate", json={"text": "A dog. A cat."})
            for _ in range(QUEUE):  # more than the queue holds: the later ones are refused
                clients.submit(client.post, "/v1/sentiment", json={"text": ["a"] * 64})
        assert client.post("/v1/sentiment", json={"text": 1}).status_code == 422
        hurried = {"X-Request-Timeout-Ms": "0"}
        assert client.post("/v1/sentiment", json={"text": "a"}, headers=hurried).status_code == 504
        assert client.get("/readyz").status_code == 200


def configure(folder: Path, address: str) -> Path:
    """The shipped configuration, faster, and with this address in the place of discovery."""
    config = read_yaml(PROMETHEUS / "prometheus.yml")
    config["global"] = dict.fromkeys(
        ("scrape_interval", "scrape_timeout", "evaluation_interval"), INTERVAL
    )
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "slipway"]
    del job["dns_sd_configs"], job["relabel_configs"]
    job["static_configs"] = [{"targets": [address], "labels": {"instance": "slipway"}}]
    config["scrape_configs"] = [job]
    (folder / "rules").mkdir()
    for path in RULES:
        content = read_yaml(path)
        for group in content["groups"]:
            group["interval"] = INTERVAL
        (folder / "rules" / path.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder / "prometheus.yml"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    catalog = tiny_zoo.build(folder / "zoo")
    zoo = catalog.root
    tested = golden_models.publish(folder / "tested", catalog, tiny_zoo.TEXTS).root
    shutil.rmtree(zoo / tiny_zoo.TEXTS)
    shutil.move(tested / tiny_zoo.TEXTS, zoo)
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), (0, 255, 0)).save(picture, "PNG")
    options = ("--models", str(zoo), "--max-queue-size", str(QUEUE * 3))
    write_limits(folder / "home", 0)
    with running(folder / "home", *options, module="tests.monitoring.limited") as server:
        address = f"127.0.0.1:{free_port()}"
        config = configure(folder, server.url.removeprefix("http://"))
        with (folder / "prometheus.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address={address}",
                ],
                stdout=log,
                stderr=log,
            )
        transport = httpx.HTTPTransport(retries=8)  # while it opens its port
        client = httpx.Client(base_url=f"http://{address}", transport=transport, timeout=30.0)
        try:
            yield Watched(server, client, picture.getvalue())
        finally:
            client.close()
            process.terminate()
            process.wait(timeout=30)


def as_asked(query: Query, model: str = tiny_zoo.TEXTS) -> str:
    """The expression with values for the variables, and with comparisons that always answer."""
    expression = query.expression
    for variable, value in (VARIABLES | {"$model": model}).items():
        expression = expression.replace(variable, value)
    return promql.compared(expression)


def test_every_panel_rule_and_alert_has_data(watched: Watched) -> None:
    missing = [*rule_queries(), *panel_queries(), *variable_queries()]
    assert len(missing) > len(rules())
    deadline_s = time.monotonic() + PATIENCE_S
    while watched.prometheus.get("/-/ready").status_code != 200:
        assert time.monotonic() < deadline_s
    while missing and time.monotonic() < deadline_s:
        watched.drive()
        missing = [query for query in missing if not watched.has_data(as_asked(query))]
    assert missing == []


@pytest.mark.parametrize("model", SILENT)
def test_the_page_of_a_model_has_every_panel_that_suits_it(watched: Watched, model: str) -> None:
    asked = [query for query in panel_queries() if query.place.startswith("model.json")]
    empty = set(asked)
    deadline_s = time.monotonic() + PATIENCE_S
    while {title(query) for query in empty} > SILENT[model] and time.monotonic() < deadline_s:
        watched.drive()
        empty = {query for query in asked if not watched.has_data(as_asked(query, model))}
    assert {title(query) for query in empty} == SILENT[model]


def title(query: Query) -> str:
    """Of the panel that asks."""
    return query.place.removeprefix("model.json: ").rpartition(" ")[0]


def test_what_does_not_exist_counts_as_missing(watched: Watched) -> None:
    assert not watched.has_data("slipway_no_such_series")
    assert not watched.has_data("0 * slipway_inflight_requests / 0")


def test_prometheus_evaluates_every_rule_without_an_error(watched: Watched) -> None:
    groups = watched.prometheus.get("/api/v1/rules").json()["data"]["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]
    assert len(evaluated) == len(rules())
    assert [(rule["name"], rule["lastError"]) for rule in evaluated if rule["health"] != "ok"] == []


def test_what_is_well_raises_no_alert(watched: Watched) -> None:
    """The clients' mistakes above may; nothing about the process, its models or its memory does."""
    raised = {found["metric"]["alertname"] for found in watched.ask("ALERTS")}
    provoked = {"SlipwayShedding", "SlipwayExpiring", "SlipwayQueueNearLimit"}
    burns = {alert["alert"] for alert in alerts() if "Burns" in alert["alert"]}
    busy = {"SlipwayEventLoopLags"}
    assert raised <= provoked | burns | busy


def test_the_metrics_pass_the_linter_of_prometheus(watched: Watched) -> None:
    page = watched.server.client.get("/metrics").content
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

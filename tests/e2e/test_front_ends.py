"""Front ends before one engine: one service from outside, whichever of them dies."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest

from tests.e2e.conftest import ROOT, Server, environment, running
from tests.e2e.test_workers import ask, counted, drained, wait_for, workers
from tests.tasks.samples import file_of, picture
from tests.tiny_zoo import IMAGES, SIDE, TEXTS, TRANSLATOR

pytestmark = pytest.mark.e2e

FRONT_ENDS = 2
SMALL = file_of(picture(SIDE, SIDE), "JPEG")
LARGE = file_of(picture(300, 200))


@pytest.fixture
def fleet(tmp_path: Path, tiny_models: Path) -> Iterator[Server]:
    options = ("--models", str(tiny_models), "--front-ends", str(FRONT_ENDS))
    with running(tmp_path / "home", *options) as server:
        yield server


def engine(server: Server) -> psutil.Process:
    """The one that does not listen on the port."""
    port = int(server.url.rsplit(":", 1)[1])
    (found,) = [
        worker
        for worker in workers(server)
        if port not in {x.laddr.port for x in worker.net_connections("tcp") if x.status == "LISTEN"}
    ]
    return found


def items(server: Server, model: str, outcome: str) -> float:
    page = httpx.get(f"{server.url}/metrics").text.splitlines()
    begin = f'slipway_items_total{{model="{model}",outcome="{outcome}"}} '
    return sum(float(line.split()[-1]) for line in page if line.startswith(begin))


def is_ready(server: Server, model: str) -> bool:
    page = httpx.get(f"{server.url}/metrics").text
    return f'slipway_model_ready{{model="{model}",version="1"}} 1.0' in page


def nearly(digits: str) -> object:
    """A number of JSON, but for what sums of floats leave out in a batch of another size."""
    return pytest.approx(float(digits), abs=1e-5)


def answers(server: Server, number: Callable[[str], object] = float) -> list[object]:
    """What every model says to a few questions, each on a connection of its own; `number` reads
    those with a fraction."""

    def ask_for(path: str, **question: Any) -> str:
        return httpx.post(f"{server.url}/v1/{path}", **question).text

    found = [ask_for("classify", content=image) for image in (SMALL, LARGE)]
    found.append(ask_for("sentiment", json={"text": ["x", "yz"]}))
    long = {"text": "Ab cd. Ef!\n\n12 Gh ij?", "beam": 2}
    found.append(ask_for("translate", json=long))
    found.append(ask_for("translate", json={**long, "stream": True}).strip().rsplit("data: ", 1)[1])
    return [json.loads(text, parse_float=number) for text in found]


def test_they_answer_as_one_process_does(fleet: Server, server: Server) -> None:
    assert len(workers(fleet)) == FRONT_ENDS + 1
    assert is_ready(fleet, TEXTS)
    assert answers(fleet) == answers(server, nearly)
    one_is_empty = {"text": ["a good one", "b", ""]}
    statuses = [
        httpx.post(f"{s.url}/v1/sentiment", json=one_is_empty).status_code for s in (fleet, server)
    ]
    assert statuses == [422, 422]
    assert {item["name"] for item in httpx.get(f"{fleet.url}/v1/models").json()["models"]} == {
        IMAGES,
        TEXTS,
        TRANSLATOR,
    }
    described = httpx.get(f"{fleet.url}/v1/models/{IMAGES}").json()["versions"][0]
    assert list(described["providers"]) == ["CPUExecutionProvider"]
    assert httpx.get(f"{fleet.url}/v1/models/nobody").status_code == 404


def test_all_front_ends_answer_and_every_item_is_counted_once(fleet: Server) -> None:
    assert ask(fleet, 24) == [200] * 24
    assert {counted(fleet) for _ in range(6)} == {24.0}
    images = [SMALL, b"no image", LARGE, LARGE[:-30]]
    statuses = [httpx.post(f"{fleet.url}/v1/classify", content=x).status_code for x in images]
    assert statuses == [200, 415, 200, 422]
    assert items(fleet, TEXTS, "ok") == 24
    assert items(fleet, IMAGES, "ok") == 2
    assert items(fleet, IMAGES, "client_error") == 2
    assert fleet.stop() == 0
    lines = [orjson.loads(line) for line in fleet.log.read_text().splitlines()]
    requests = [line for line in lines if line.get("path") == "/v1/sentiment"]
    assert len(requests) == 24
    assert {line["worker"] for line in requests} == {1, 2}
    assert fleet.left_behind() == []


def test_an_engine_that_dies_is_replaced_and_found(fleet: Server) -> None:
    assert ask(fleet, 4) == [200] * 4
    engine(fleet).send_signal(signal.SIGKILL)
    wait_for(fleet, ready=False)
    statuses = ask(fleet, 1)
    assert set(statuses) <= {200, 503}
    wait_for(fleet, ready=True)
    assert is_ready(fleet, TEXTS)
    until_s = time.monotonic() + 60
    while ask(fleet, FRONT_ENDS * 4) != [200] * FRONT_ENDS * 4:
        assert time.monotonic() < until_s
    assert len(workers(fleet)) == FRONT_ENDS + 1
    assert fleet.stop() == 0


def test_a_front_end_that_dies_costs_only_what_it_had_in_hand(fleet: Server) -> None:
    of_engine = engine(fleet).pid
    front, *_ = [worker for worker in workers(fleet) if worker.pid != of_engine]
    front.send_signal(signal.SIGKILL)
    wait_for(fleet, ready=True)
    until_s = time.monotonic() + 60
    while len(workers(fleet)) <= FRONT_ENDS or front in workers(fleet):
        assert time.monotonic() < until_s
    wait_for(fleet, ready=True)
    assert ask(fleet, 12) == [200] * 12
    assert engine(fleet).pid == of_engine
    assert fleet.stop() == 0


def test_what_is_in_flight_when_it_stops_is_answered(tmp_path: Path, tiny_models: Path) -> None:
    options = ("--models", str(tiny_models), "--front-ends", "1", "--pre-drain-s", "1")
    with running(tmp_path / "home", *options) as server:
        assert drained(server) == [200] * 8


def test_without_models_they_say_why_once_and_end(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "service", "serve", "--port", "0", "--front-ends", "2"]
    command += ["--models", str(tmp_path / "empty")]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.count("there is no model that can be served") == 1


def test_several_engines_have_no_front_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service", "serve", "--front-ends", "2", "--workers", "2"]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "leave --workers 2 out" in ended.stderr

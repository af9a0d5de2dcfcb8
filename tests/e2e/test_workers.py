"""Several engine processes behind one port: one service from outside, also when one dies."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import psutil
import pytest

from tests.e2e.conftest import ROOT, Server, environment, running
from tests.tiny_zoo import TEXTS

pytestmark = pytest.mark.e2e

WORKERS = 2
SERIES = f'endpoint="/v1/sentiment",model="{TEXTS}",outcome="ok",version="1"'


@pytest.fixture
def fleet(tmp_path: Path, tiny_models: Path) -> Iterator[Server]:
    options = ("--models", str(tiny_models), "--workers", str(WORKERS))
    with running(tmp_path / "home", *options) as server:
        yield server


def workers(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


def counted(server: Server) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    (line,) = [x for x in lines if x.startswith(f"slipway_requests_total{{{SERIES}}}")]
    return float(line.split()[-1])


def ask(server: Server, times: int) -> list[int]:
    """On a connection each, so that the kernel shares them out."""
    url = f"{server.url}/v1/sentiment"
    return [httpx.post(url, json={"text": f"a {n}"}).status_code for n in range(times)]


def test_all_workers_answer_and_their_counts_are_one(fleet: Server) -> None:
    assert len(workers(fleet)) == WORKERS
    assert ask(fleet, 24) == [200] * 24
    assert {counted(fleet) for _ in range(6)} == {24.0}
    assert fleet.stop() == 0
    lines = [orjson.loads(line) for line in fleet.log.read_text().splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    assert len(requests) == 24
    assert {line["worker"] for line in requests} == set(range(WORKERS))
    assert fleet.left_behind() == []


def held(server: Server) -> list[int]:
    """How many connections each worker has."""
    port = int(server.url.rsplit(":", 1)[1])
    return [
        sum(x.status == "ESTABLISHED" and x.laddr.port == port for x in found)
        for found in (worker.net_connections("tcp") for worker in workers(server))
    ]


def keep(connection: http.client.HTTPConnection, number: int) -> int:
    """Ask on a connection that stays open."""
    connection.request("POST", "/v1/sentiment", body=f'{{"text": "b {number}"}}')
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_connections_are_shared_out_evenly_and_again_when_some_have_gone(fleet: Server) -> None:
    host, port = fleet.url.removeprefix("http://").split(":")
    clients = [http.client.HTTPConnection(host, int(port), timeout=60) for _ in range(12)]
    assert [keep(client, n) for n, client in enumerate(clients)] == [200] * 12
    assert held(fleet) == [6, 6]
    first = workers(fleet)[0]
    of_first = {x.raddr.port for x in first.net_connections("tcp") if x.raddr}
    staying = [c for c in clients if c.sock.getsockname()[1] not in of_first]
    for client in clients:
        if client not in staying:
            client.close()
    assert len(staying) == 6
    until_s = time.monotonic() + 30
    while held(fleet) != [3, 3]:
        assert [keep(client, n) for n, client in enumerate(staying)] == [200] * 6
        assert time.monotonic() < until_s, held(fleet)
    assert [keep(client, n) for n, client in enumerate(staying)] == [200] * 6
    for client in staying:
        client.close()
    assert fleet.stop() == 0


class Clients:
    """Four who ask one thing after the other, each on a connection of its own."""

    def __init__(self, server: Server) -> None:
        self.answered = self.failed = self.refused = 0
        self._server = server
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def _ask(self) -> None:
        while not self._done.is_set():
            try:
                (status,) = ask(self._server, 1)
                self.answered += status == 200
                self.refused += status != 200
            except httpx.TransportError:
                self.failed += 1

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


def wait_for(server: Server, ready: bool) -> None:
    while told_ready(server) is not ready:
        time.sleep(0.01)


def told_ready(server: Server) -> bool | None:
    """None where the worker that was asked died before it answered."""
    try:
        return httpx.get(f"{server.url}/readyz").status_code == 200
    except httpx.TransportError:
        return None


def test_a_worker_that_stands_still_is_replaced(tmp_path: Path, tiny_models: Path) -> None:
    options = ("--models", str(tiny_models), "--workers", str(WORKERS), "--watchdog-s", "5")
    with running(tmp_path / "home", *options) as fleet:
        assert ask(fleet, 2) == [200] * 2
        stuck, other = workers(fleet)
        stuck.suspend()
        until_s = time.monotonic() + 40
        while len(workers(fleet)) < WORKERS or stuck in workers(fleet):
            assert time.monotonic() < until_s
            time.sleep(0.05)
        wait_for(fleet, ready=True)
        assert other in workers(fleet)
        assert ask(fleet, 12) == [200] * 12
        log = [orjson.loads(line) for line in fleet.log.read_text().splitlines()]
        (line,) = [line for line in log if line["message"] == "a worker stands still and is ended"]
        assert (line["pid"], line["level"]) == (stuck.pid, "error")
        assert fleet.stop() == 0


def test_a_worker_that_dies_costs_only_what_it_had_in_hand(fleet: Server) -> None:
    with Clients(fleet) as clients:
        while clients.answered < 20:
            time.sleep(0.01)
        before = counted(fleet)
        first, other = workers(fleet)
        os.kill(first.pid, signal.SIGKILL)
        wait_for(fleet, ready=False)
        assert counted(fleet) >= before
        wait_for(fleet, ready=True)
    assert clients.failed <= 4
    assert clients.refused == 0
    after = workers(fleet)
    assert other in after
    assert len(after) == WORKERS
    assert counted(fleet) >= before
    assert fleet.stop() == 0


def drained(server: Server) -> list[int]:
    """Ask eight things, tell every process to leave, and only then look for the answers."""
    host, port = server.url.removeprefix("http://").split(":")
    asked = [http.client.HTTPConnection(host, int(port), timeout=60) for _ in range(8)]
    for number, connection in enumerate(asked):
        connection.request("POST", "/v1/sentiment", body=f'{{"text": "a {number}"}}')
    for process in (*workers(server), psutil.Process(server.process.pid)):
        process.send_signal(signal.SIGTERM)
    found = [connection.getresponse().status for connection in asked]
    assert server.wait() == 0
    for connection in asked:
        connection.close()
    return found


def test_a_signal_to_the_whole_group_drains_as_one_to_the_supervisor(
    tmp_path: Path, tiny_models: Path
) -> None:
    """As `timeout` and most service managers send it: workers have it twice."""
    options = ("--models", str(tiny_models), "--workers", str(WORKERS), "--pre-drain-s", "1")
    with running(tmp_path / "home", *options) as server:
        assert drained(server) == [200] * 8


def test_workers_meet_in_a_folder_with_a_long_name(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 120)  # more than the path of a socket may have
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    options = ("--models", str(tiny_models), "--workers", str(WORKERS))
    with running(tmp_path / "home", *options) as server:
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert ask(server, 6) == [200] * 6
        assert {counted(server) for _ in range(4)} == {6.0}
        assert server.stop() == 0
    assert list(folder.iterdir()) == []


def test_a_fleet_without_models_says_why_once_and_ends(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "service", "serve", "--port", "0"]
    command += ["--workers", str(WORKERS), "--models", str(tmp_path / "empty")]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.count("there is no model that can be served") == 1

"""SIGTERM: everything that was accepted is answered, and the process leaves with 0."""

import http.client
import json
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import Server, running

pytestmark = pytest.mark.e2e

CLIENTS = 24
SENTENCES = 16


def send(server: Server, number: int) -> http.client.HTTPConnection:
    """A request whose answer nobody has read yet, and in which nothing can be shared."""
    names = (f"{number} {sentence}" for sentence in range(SENTENCES))
    text = " ".join(f"The quick brown fox {name} jumps over the lazy dog again." for name in names)
    host, port = server.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120.0)
    connection.request("POST", "/v1/translate", body=json.dumps({"text": text}))
    return connection


def translations_done(server: Server) -> int:
    lines = server.client.get("/metrics").text.splitlines()
    start = 'slipway_requests_total{endpoint="/v1/translate"'
    return round(sum(float(line.split()[-1]) for line in lines if line.startswith(start)))


def test_queued_and_running_requests_are_all_answered(tmp_path: Path, tiny_models: Path) -> None:
    options = ("--max-batch-size", "4", "--max-queue-size", "10000")
    with running(tmp_path / "home", "--models", str(tiny_models), *options) as server:
        sent = [send(server, number) for number in range(CLIENTS)]
        while translations_done(server) + server.in_flight() < CLIENTS:
            pass  # not all of them have been read
        waiting = server.in_flight()
        server.signal()
        assert waiting > 1
        assert [connection.getresponse().status for connection in sent] == [200] * CLIENTS
        assert server.wait() == 0
        assert server.left_behind() == []
        for connection in sent:
            connection.close()


def test_before_it_closes_it_is_not_ready_and_still_answers(
    tmp_path: Path, tiny_models: Path
) -> None:
    options = ("--models", str(tiny_models), "--pre-drain-s", "60")
    with running(tmp_path / "home", *options) as server:
        assert server.client.get("/readyz").status_code == 200
        server.signal()
        while server.client.get("/readyz").status_code == 200:
            pass
        assert server.client.get("/readyz").headers["retry-after"]
        assert server.client.get("/livez").status_code == 200
        assert server.client.post("/v1/sentiment", json={"text": "a"}).status_code == 200
        server.signal()  # a second one: at once
        assert server.wait() == 1


def test_an_interrupt_from_the_keyboard_drains_too(tmp_path: Path, tiny_models: Path) -> None:
    with running(tmp_path / "home", "--models", str(tiny_models)) as server:
        server.signal(signal.SIGINT)
        assert server.wait() == 0


def test_idle_connections_do_not_hold_it_up(tmp_path: Path, tiny_models: Path) -> None:
    with running(tmp_path / "home", "--models", str(tiny_models)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(50)]
        assert server.client.get("/livez").status_code == 200
        server.signal()
        assert server.process.wait(timeout=15) == 0
        for connection in idle:
            connection.close()

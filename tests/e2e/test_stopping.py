"""SIGTERM: everything that was accepted is answered, and the process leaves with 0."""

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Server, running

pytestmark = pytest.mark.e2e

CLIENTS = 48
TEXT = "The quick brown fox jumps over the lazy dog again. " * 12


def ask(server: Server) -> int:
    with httpx.Client(base_url=server.url, timeout=120.0) as client:
        return client.post("/v1/translate", json={"text": TEXT}).status_code


def test_queued_and_running_requests_are_all_answered(tmp_path: Path, tiny_models: Path) -> None:
    options = ("--max-batch-size", "4", "--max-queue-size", "10000")
    with (
        running(tmp_path / "home", "--models", str(tiny_models), *options) as server,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        answers = [clients.submit(ask, server) for _ in range(CLIENTS)]
        server.until_in_flight(CLIENTS // 2)
        unanswered = sum(not answer.done() for answer in answers)
        assert unanswered > 0
        # A client whose connection was not accepted yet is refused; all others are answered.
        server.signal()
        statuses = [answer.exception() or answer.result() for answer in answers]
        assert server.wait() == 0
        answered = [status for status in statuses if status == 200]
        refused = [status for status in statuses if isinstance(status, httpx.ConnectError)]
        assert len(answered) + len(refused) == CLIENTS
        assert len(answered) >= CLIENTS // 2
        assert server.left_behind() == []


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

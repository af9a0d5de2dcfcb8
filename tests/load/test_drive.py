"""The two loops, against a server in virtual time."""

import pytest

from service.load.connection import BROKEN, Connection
from service.load.drive import run_closed, run_open
from service.load.errors import LoadError
from service.load.samples import Samples, summarise
from tests.load import virtual
from tests.load.virtual import Server, now_s

EVERY_10_MS = [place / 100 for place in range(100)]


def open_loop(server: Server, schedule: list[float], **more: object) -> Samples:
    return virtual.run(
        lambda: run_open(server.connect, [b"a", b"b"], schedule, clock=now_s, **more)  # type: ignore[arg-type]
    )


def test_requests_leave_when_they_are_due() -> None:
    server = Server(0.005)
    open_loop(server, EVERY_10_MS)
    assert server.arrivals_s == pytest.approx(EVERY_10_MS)


def test_requests_leave_when_they_are_due_even_if_no_answer_comes() -> None:
    server = Server(5.0)
    open_loop(server, EVERY_10_MS)
    assert server.arrivals_s == pytest.approx(EVERY_10_MS)


def test_requests_are_sent_round_and_round() -> None:
    server = Server(0.001)
    open_loop(server, EVERY_10_MS[:5])
    assert server.requests == [b"a", b"b", b"a", b"b", b"a"]


def test_a_connection_is_used_again_when_its_answer_is_here() -> None:
    server = Server(0.005)
    open_loop(server, EVERY_10_MS)
    assert server.connections == 1


def test_a_latency_is_the_time_of_service_while_the_server_keeps_up() -> None:
    samples = open_loop(Server(0.005), EVERY_10_MS)
    assert samples.latencies_s(200) == pytest.approx([0.005] * 100)


def test_a_stall_is_felt_by_every_request_that_was_due_in_it() -> None:
    """Coordinated omission: a client that waits for its answer would see one slow request."""
    server = Server(0.001, at_once=1000, stalls=((0.2, 0.7),))
    samples = open_loop(server, EVERY_10_MS)
    slow = [latency for latency in samples.latencies_s(200) if latency > 0.005]
    assert len(slow) == 50
    assert max(slow) == pytest.approx(0.501)
    assert summarise(samples, 1.0).latency_ms["p50"] > 1.0  # type: ignore[index]


def test_waiting_for_a_connection_counts_as_latency() -> None:
    server = Server(0.1)
    samples = open_loop(server, [0.0, 0.0, 0.0], most=1)
    assert server.connections == 1
    assert samples.latencies_s(200) == pytest.approx([0.1, 0.2, 0.3])
    assert samples.lags_s() == pytest.approx([0.0, 0.1, 0.2])


def test_what_never_comes_is_counted_as_missing() -> None:
    samples = open_loop(Server(100.0), [0.0, 0.1], grace_s=1.0)
    seen = summarise(samples, 1.0, offered=2)
    assert (seen.requests, seen.good, seen.statuses) == (2, 0, {})


def test_answers_that_come_within_the_grace_count() -> None:
    samples = open_loop(Server(0.9), [0.0, 0.1], grace_s=1.0)
    assert len(samples.status) == 2


def test_a_closed_loop_keeps_its_clients_busy_and_no_more() -> None:
    server = Server(0.01)
    samples, took_s = virtual.run(
        lambda: run_closed(server.connect, [b"a"], clients=4, seconds=1.0, clock=now_s)
    )
    assert server.connections == 4
    assert took_s == pytest.approx(1.0, abs=0.011)
    assert len(samples.status) == pytest.approx(400, abs=4)
    assert samples.latencies_s(200) == pytest.approx([0.01] * len(samples.status))


def test_a_closed_loop_hides_a_stall_which_is_why_there_is_an_open_one() -> None:
    server = Server(0.001, stalls=((0.2, 0.7),))
    samples, _ = virtual.run(
        lambda: run_closed(server.connect, [b"a"], clients=1, seconds=1.0, clock=now_s)
    )
    slow = [latency for latency in samples.latencies_s(200) if latency > 0.005]
    assert len(slow) == 1


def test_a_server_that_is_not_there_is_told_of() -> None:
    with pytest.raises(LoadError, match="is the server up"):
        virtual.run(lambda: run_open(virtual.refuse_to_connect, [b"a"], EVERY_10_MS, clock=now_s))


def test_a_connection_that_breaks_is_counted_and_replaced() -> None:
    server = Server(0.005, answer=b"this is no HTTP\r\n\r\n")
    samples = open_loop(server, EVERY_10_MS[:3])
    assert list(samples.status) == [BROKEN] * 3
    assert server.connections == 3


def test_each_answer_is_told_as_it_comes() -> None:
    told: list[int] = []
    open_loop(Server(0.005, answer=virtual.REFUSED), EVERY_10_MS[:3], on_answer=told.append)
    assert told == [429] * 3


@pytest.mark.parametrize(
    ("answer", "status", "stays_open"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\ncontent-length: 0\r\n\r\n", 204, True),
        (b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", 503, False),
    ],
)
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_an_answer_is_complete_at_its_last_byte(
    answer: bytes, status: int, stays_open: bool, chunk: int
) -> None:
    told: list[int] = []

    async def scenario() -> bool:
        connection = Connection(lambda _, status: told.append(status))
        wire = virtual.Wire(Server(1000.0), connection)
        connection.connection_made(wire)
        connection.send(b"a")
        for start in range(0, len(answer), chunk):
            assert not told
            connection.data_received(answer[start : start + chunk])
        return connection.is_open

    assert virtual.run(scenario) == stays_open
    assert told == [status]

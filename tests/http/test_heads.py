"""A head that was read before is looked up; whatever is new about a request goes to the parser."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import orjson
import pytest

from service.errors import Overloaded
from service.http.exchange import Asked
from service.http.heads import MOST_BYTES, MOST_HEADS, Heads
from service.http.limits import Limits
from service.http.routes import DirectRoute
from tests.http.site import LIMIT, Client, Site, until

ROUTE = cast(
    DirectRoute,
    SimpleNamespace(path="/echo", edge=SimpleNamespace(limits=Limits(body_bytes=LIMIT))),
)
ASKED = Asked(b"", "interactive", 0.5)
HEAD = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"
FIELDS = ((b"host", b"x"), (b"content-length", b"4"))


class NotAsked:
    """In place of a parser that must not see what comes."""

    def feed_data(self, data: bytes) -> NoReturn:
        raise AssertionError(f"the parser was asked: {data!r}")


def learnt(data: bytes = HEAD + b"body") -> Heads:
    heads = Heads()
    assert heads.learn(data, ROUTE, ASKED, FIELDS)
    return heads


@pytest.mark.parametrize("body", [b"next", b"", b"a longer one", b"v" * LIMIT])
def test_the_same_head_with_another_body_is_known(body: bytes) -> None:
    found = learnt().find(HEAD.replace(b": 4", b": %d" % len(body)) + body)
    assert found is not None
    known, seen = found
    assert seen == body
    assert (known.route, known.asked, known.fields) == (ROUTE, ASKED, [(b"host", b"x")])


@pytest.mark.parametrize(
    "data",
    [
        HEAD,
        HEAD + b"bod",
        HEAD + b"body" + HEAD + b"body",
        HEAD.replace(b"host: x", b"host: y") + b"body",
        b"\r\n" + HEAD + b"body",
        HEAD[:-2],
        b"",
        HEAD.replace(b": 4", b": 3") + b"body",
        HEAD.replace(b": 4", b": 04") + b"body",
        HEAD.replace(b": 4", b": +4") + b"body",
        HEAD.replace(b": 4", b":  4") + b"body",
        HEAD.replace(b": 4", b": 4\r\ncontent-length: 4") + b"body",
        HEAD.replace(b": 4", b": 4\r\nContent-Length: 9") + b"body",
        HEAD.replace(b"\r\ncontent-length: 4", b"") + b"body",
        HEAD.replace(b": 4", b": %d" % (LIMIT + 1)) + b"v" * (LIMIT + 1),
    ],
    ids=[
        "no body",
        "half a body",
        "two requests",
        "another head",
        "more before",
        "no end",
        "none",
        "another length than it tells",
        "a nought before",
        "a sign",
        "a space",
        "its length twice",
        "two lengths",
        "no length",
        "too long",
    ],
)
def test_anything_else_is_not_known(data: bytes) -> None:
    assert learnt().find(data) is None


@pytest.mark.parametrize(
    "field", ["x-request-id: 1", "traceparent: 00", "expect: 100-continue", "connection: close"]
)
def test_what_is_new_each_time_or_asks_for_another_way_is_not_kept(field: str) -> None:
    name, value = field.encode().split(b": ")
    head = HEAD.replace(b"host: x", field.encode())
    heads = Heads()
    assert heads.learn(head + b"body", ROUTE, ASKED, (*FIELDS, (name, value)))
    assert heads.find(head + b"body") is None


@pytest.mark.parametrize("lengths", [(), (b"4", b"4"), (b"3",)])
def test_only_one_whole_request_is_learnt_from(lengths: Sequence[bytes]) -> None:
    heads = Heads()
    fields = tuple((b"content-length", length) for length in lengths)
    assert not heads.learn(HEAD + b"body", ROUTE, ASKED, fields)
    assert heads.find(HEAD + b"body") is None


def test_long_heads_are_not_kept_and_many_are_forgotten() -> None:
    heads = Heads()
    long = HEAD.replace(b"host: x", b"host: " + b"x" * MOST_BYTES)
    assert heads.learn(long + b"body", ROUTE, ASKED, FIELDS)
    assert heads.find(long + b"body") is None
    for number in range(MOST_HEADS + 1):
        head = HEAD.replace(b"host: x", b"host: %d" % number)
        heads.learn(head + b"body", ROUTE, ASKED, FIELDS)
        assert heads.find(head + b"body") is not None
    assert heads.find(HEAD.replace(b"host: x", b"host: 0") + b"body") is None


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length"])
def test_a_length_is_found_as_clients_write_it(name: bytes) -> None:
    head = HEAD.replace(b"content-length", name)
    heads = learnt(head + b"body")
    assert heads.find(head.replace(b": 4", b": 6") + b"longer") is not None


def test_another_field_whose_name_ends_alike_is_none() -> None:
    head = HEAD.replace(b"host: x", b"x-content-length: 4")
    heads = learnt(head + b"body")
    longer = head.replace(b"\r\ncontent-length: 4", b"\r\ncontent-length: 6")
    assert heads.find(longer + b"longer") is not None
    assert heads.find(head.replace(b"x-content-length: 4", b"x-content-length: 5") + b"b") is None


def test_who_writes_it_in_another_way_drives_nobody_out() -> None:
    heads = learnt()
    for number in range(MOST_HEADS + 1):
        head = HEAD.replace(b"host: x", b"host: %d" % number)
        head = head.replace(b"content-length", b"CONTENT-LENGTH")
        assert heads.learn(head + b"body", ROUTE, ASKED, FIELDS)
        assert heads.find(head + b"body") is None
    assert heads.find(HEAD + b"body") is not None


@pytest.mark.anyio
async def test_the_second_request_of_a_kind_needs_no_parser(site: Site, client: Client) -> None:
    answers = []
    for _ in range(3):
        client.send("/echo?top_k=1", b"ping", "x-priority: bulk")
        status, headers, body = await client.read()
        headers.pop("date")
        headers.pop("x-request-id")
        answers.append((status, headers, body))
        site.connection.parser = cast(Any, NotAsked())
    assert answers[0] == answers[1] == answers[2]
    assert site.count("ok") == 3
    assert site.in_flight == 0
    assert site.connection.idle_since_s is not None


@pytest.mark.anyio
async def test_a_head_is_known_whatever_length_it_tells(site: Site, client: Client) -> None:
    client.send("/echo", b"ping")
    assert (await client.read())[2] == b"ping"
    site.connection.parser = cast(Any, NotAsked())
    for body in (b"", b"a longer one", b"v" * LIMIT):
        client.send("/echo", body)
        assert (await client.read())[2] == body
    assert site.count("ok") == 4


@pytest.mark.anyio
async def test_another_connection_knows_it_too(site: Site, client: Client) -> None:
    client.send("/echo", b"ping")
    assert (await client.read())[2] == b"ping"
    client.writer.close()
    await until(lambda: not site.server.server_state.connections)
    other = await Client.to(site)
    await until(lambda: bool(site.server.server_state.connections))
    site.connection.parser = cast(Any, NotAsked())
    other.send("/echo", b"pong")
    assert (await other.read())[2] == b"pong"
    other.writer.close()


@pytest.mark.anyio
async def test_a_known_head_meets_the_door(site: Site, client: Client) -> None:
    site.closed = Overloaded("Full.", 7.0)
    for body in (b"one", b"two"):
        client.send("/wait", body)
        status, headers, answer = await client.read()
        assert (status, headers["retry-after"]) == (429, "7")
        assert orjson.loads(answer)["request_id"] == headers["x-request-id"]
        site.connection.parser = cast(Any, NotAsked())
    site.closed = Overloaded("Still full.", 9.0)
    client.send("/wait", b"two")
    assert orjson.loads((await client.read())[2])["detail"] == "Still full."
    assert site.count("shed") == 3


@pytest.mark.anyio
async def test_the_rest_of_a_body_is_no_part_of_a_head(site: Site, client: Client) -> None:
    client.send("/echo", b"12", "content-length: 4")
    await until(lambda: site.in_flight == 1)
    client.writer.write(b"34" + HEAD + b"next")
    assert [(await client.read())[2] for _ in range(2)] == [b"1234", b"next"]
    client.writer.write(b"34" + HEAD + b"next")
    assert (await client.read_all()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.anyio
async def test_a_known_head_after_half_of_another_is_none(site: Site, client: Client) -> None:
    client.writer.write(HEAD + b"ping")
    assert (await client.read())[2] == b"ping"
    client.writer.write(b"POST /ec")
    await until(lambda: site.connection.head_began_s is not None)
    client.writer.write(HEAD + b"ping")
    assert (await client.read_all()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.anyio
async def test_known_and_new_requests_take_turns(site: Site, client: Client) -> None:
    for _ in range(2):
        client.send("/echo", b"ping")
        assert (await client.read())[2] == b"ping"
        client.send("/other")
        assert (await client.read())[2] == b"long"
        client.send("/echo", b"12", "content-length: 4")
        await until(lambda: site.in_flight == 1)
        client.writer.write(b"34")
        assert (await client.read())[2] == b"1234"
        client.send("/echo", b"v" * (LIMIT - 1))
        client.send("/echo", b"ping")
        assert [len((await client.read())[2]) for _ in range(2)] == [LIMIT - 1, 4]
    assert site.count("ok") == 10


@pytest.mark.anyio
async def test_what_comes_while_a_known_request_is_answered_waits_its_turn(
    site: Site, client: Client
) -> None:
    client.send("/wait", b"ping")
    await until(lambda: len(site.waiting) == 1)
    site.waiting[0].set_result(b"first")
    assert (await client.read())[2] == b"first"
    client.send("/echo", b"learn")
    assert (await client.read())[2] == b"learn"
    client.send("/wait", b"ping")
    await until(lambda: len(site.waiting) == 2)
    assert site.connection.idle_since_s is None
    client.send("/echo", b"third")
    await until(lambda: len(site.connection.pipeline) == 1)
    client.send("/wait", b"ping")
    site.waiting[1].set_result(b"second")
    await until(lambda: len(site.waiting) == 3)
    site.waiting[2].set_result(b"fourth")
    assert [(await client.read())[2] for _ in range(3)] == [b"second", b"third", b"fourth"]


@pytest.mark.anyio
async def test_a_head_that_is_refused_is_refused_again(site: Site) -> None:
    for _ in range(2):
        client = await Client.to(site)
        client.send("/echo", b"", f"content-length: {LIMIT + 1}")
        assert (await client.read())[0] == 413
        assert await client.is_closed()
        client.writer.close()


@pytest.mark.anyio
async def test_who_asks_to_close_is_closed_each_time(site: Site) -> None:
    for _ in range(2):
        client = await Client.to(site)
        client.send("/echo", b"ping", "connection: close")
        assert (await client.read())[2] == b"ping"
        assert await client.is_closed()
        client.writer.close()


@pytest.mark.anyio
async def test_a_server_that_leaves_says_so_to_a_known_request(site: Site, client: Client) -> None:
    client.send("/echo", b"ping")
    await client.read()
    site.connection.leaving = True
    client.send("/echo", b"ping")
    status, headers, _ = await client.read()
    assert (status, headers["connection"]) == (200, "close")

"""Requests that offer another protocol, of which we speak none: they are requests as others are."""

import pytest

from tests.http.site import Client, Site, until

pytestmark = pytest.mark.anyio

OFFER = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQC")


@pytest.mark.parametrize("path", ["/echo", "/other"])
async def test_an_offer_of_another_protocol_is_not_heard(
    site: Site, client: Client, path: str
) -> None:
    for _ in range(2):  # the connection stays
        client.send(path, b"ping", *OFFER)
        status, headers, body = await client.read()
        assert (status, body) == (200, b"ping" if path == "/echo" else b"long")
        assert "connection" not in headers


async def test_a_body_behind_an_offer_is_never_a_request(site: Site, client: Client) -> None:
    body = b"POST /other HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    client.send("/echo", b"", *OFFER, f"content-length: {len(body)}")
    await until(lambda: site.in_flight == 1)
    client.writer.write(body)
    assert (await client.read())[2] == body
    assert site.long_way == 0


async def test_what_is_piped_behind_an_offer_has_its_answer(site: Site, client: Client) -> None:
    for number in range(40):
        client.send("/echo", b"%d" % number, *OFFER)
    assert [(await client.read())[2] for _ in range(40)] == [b"%d" % n for n in range(40)]


async def test_close_is_heard_beside_an_offer(site: Site, client: Client) -> None:
    client.send("/echo", b"ping", "connection: upgrade, close", "upgrade: h2c")
    assert (await client.read())[1]["connection"] == "close"
    assert await client.is_closed()


async def test_a_tunnel_is_refused(site: Site, client: Client) -> None:
    client.send("example.com:443", method="CONNECT")
    assert (await client.read())[0] == 400
    assert await client.is_closed()


async def test_behind_an_odd_tunnel_nothing_is_read(site: Site, client: Client) -> None:
    client.send("http", method="CONNECT")
    client.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await client.read_all()).count(b"HTTP/1.1 ") == 1

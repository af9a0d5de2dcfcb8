"""Clients that do not read what they are sent, and others that only look like it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from service.http import standstill
from service.http.limits import Limits
from service.http.protocol import HeadLimitProtocol
from service.http.standstill import STUCK_S, Standstill, unsent
from tests.http.site import Client, Site, serving, until

pytestmark = pytest.mark.anyio

SIZE = 8 << 20  # more than the kernel takes


@dataclass
class Behind:
    """A client that was sent a large answer and has not read it."""

    client: Client
    connection: HeadLimitProtocol
    site: Site

    def reads(self) -> None:
        self.client.writer.transport.resume_reading()  # type: ignore[attr-defined]

    @property
    def is_given_up(self) -> bool:
        return not self.site.server.server_state.connections


@pytest.fixture
async def behind() -> AsyncIterator[Behind]:
    async with serving(Limits(body_bytes=SIZE)) as site:
        client = await Client.to(site)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send("/echo", bytes(SIZE))
        await until(lambda: site.count("ok") == 1)
        yield Behind(client, site.connection, site)
        client.writer.close()


async def test_a_client_that_reads_nothing_is_given_up(behind: Behind) -> None:
    now_s = time.monotonic()
    behind.connection.end_if_late(now_s)
    behind.connection.end_if_late(now_s + STUCK_S)
    assert not behind.is_given_up
    behind.connection.end_if_late(now_s + STUCK_S + 1)
    await until(lambda: behind.is_given_up)


async def test_a_client_that_reads_slowly_is_not(behind: Behind) -> None:
    connection, now_s = behind.connection, time.monotonic()
    connection.end_if_late(now_s)
    before = connection.transport.get_write_buffer_size()
    behind.reads()
    reading = asyncio.ensure_future(behind.client.read())
    await until(lambda: connection.transport.get_write_buffer_size() < before)
    connection.end_if_late(now_s + STUCK_S + 1)
    assert len((await reading)[2]) == SIZE


async def test_who_read_all_begins_anew(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    # as much as before waits for the client the next time
    monkeypatch.setattr(standstill, "unsent", lambda to: SIZE - to.get_write_buffer_size())
    now_s = time.monotonic()
    behind.connection.end_if_late(now_s)
    behind.reads()
    await behind.client.read()
    behind.connection.end_if_late(now_s + 1)
    behind.connection.flow.write_paused = True
    behind.connection.end_if_late(now_s + STUCK_S + 1)
    assert not behind.connection.transport.is_closing()


async def test_an_answer_that_grows_while_its_reader_is_behind_is_no_standstill(
    behind: Behind,
) -> None:
    now_s = time.monotonic()
    behind.connection.end_if_late(now_s)
    behind.connection.transport.write(bytes(1 << 20))  # as the last event of a stream does
    behind.connection.end_if_late(now_s + STUCK_S + 1)
    assert not behind.connection.transport.is_closing()
    behind.connection.end_if_late(now_s + 2 * STUCK_S + 2)
    await until(lambda: behind.is_given_up)


async def test_the_kernel_tells_what_it_holds(site: Site, client: Client, behind: Behind) -> None:
    client.send("/echo", b"a")
    await client.read()
    assert unsent(site.connection.transport) == 0
    assert unsent(behind.connection.transport) > 0


async def test_what_the_kernel_hands_over_counts_as_read(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [9, 8, 8]
    monkeypatch.setattr(standstill, "unsent", lambda transport: held.pop(0))
    looks = Standstill()
    transport = behind.connection.transport
    assert not looks.lasts(transport, 0.0)
    assert not looks.lasts(transport, STUCK_S + 1)
    assert looks.lasts(transport, 2 * STUCK_S + 2)

"""A site with a client of its own."""

from collections.abc import AsyncIterator

import pytest

from service.http.limits import Limits
from tests.http.site import LIMIT, Client, Site, serving


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving(Limits(body_bytes=LIMIT)) as site:
        yield site


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    client = await Client.to(site)
    yield client
    client.writer.close()

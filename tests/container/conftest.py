"""Files and other processes: there is no event loop of ours to guard."""

import pytest
from blockbuster import BlockBuster


@pytest.fixture(autouse=True)
def blockbuster() -> BlockBuster | None:
    return None

"""The images that the tests of containers run, built once."""

from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests import tiny_zoo
from tests.container.docker import allow_all_to_read, build
from tests.container.files import ROOT


@pytest.fixture(autouse=True)
def blockbuster() -> BlockBuster | None:
    """These tests have no event loop of ours to guard."""
    return None


@pytest.fixture(scope="session")
def bare_image() -> str:
    """The image without models."""
    return build(ROOT, "slipway-test:bare", "--target", "bare")


@pytest.fixture(scope="session")
def full_image(bare_image: str) -> str:
    """The image as it is by default; its steps are those of the bare one and one more."""
    return build(ROOT, "slipway-test:full")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models to mount."""
    return allow_all_to_read(tiny_zoo.build(tmp_path_factory.mktemp("mounted")).root)

"""What every exporter test gets: one thread of torch, so that numbers do not depend on cores; and
the command line, for those that ask for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.export.running import CommandLine


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def threads() -> Iterator[None]:
    """The command sets torch's threads for its process, which here is the tests'."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def export(
    threads: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> CommandLine:
    def report(said: str) -> None:  # shown where the test fails
        request.node.add_report_section("call", "slipway-export", said)

    return CommandLine(tmp_path, capsys, report)

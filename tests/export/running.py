"""`slipway-export` in the process of a test."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from export.cli import main
from model_zoo.catalog import Catalog


class CommandLine:
    """`slipway-export` in this process, with folders of its own. `report` hears what it says."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], report: Callable[[str], None]
    ) -> None:
        self.models, self.work = folder / "models", folder / "work"
        self._capsys = capsys
        self._report = report
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        folders = ["--models", str(self.models), "--work", str(self.work), "--threads", "1"]
        try:
            return main([*words, *folders])
        finally:
            self.out, self.err = self._capsys.readouterr()
            self._report(self.out + self.err)

    @property
    def published(self) -> Sequence[str]:
        return [ref.name for ref in Catalog(self.models).list()] if self.models.exists() else []

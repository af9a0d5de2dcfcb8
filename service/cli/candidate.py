"""A real server with settings on trial, and settings as a file for `slipway serve --config`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.cli.errors import CommandFailed
from service.load.target import Target

START_S = 300.0
STOP_S = 60.0
GREETING = "Slipway answers at "


def read_settings(path: Path | None) -> dict[str, Any]:
    """The lines of a settings file; nothing for none."""
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandFailed(f"{path} cannot be read: {error}") from error
    if isinstance(models := found.get("models"), str):  # as seen from the file
        found["models"] = str((path.parent / models).resolve())
    return found


def write_settings(settings: Mapping[str, Any], heading: str = "") -> str:
    """TOML of plain values and lists of them."""
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    # a JSON string, number, true, false or list of them is written alike in TOML
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join((*lines, ""))


@contextmanager
def candidate(settings: Mapping[str, Any]) -> Iterator[Target]:
    """`slipway serve` with these settings on a free port, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder) / "slipway.toml", Path(folder) / "log"
        config.write_text(write_settings({**settings, "host": "127.0.0.1", "port": 0}), "utf-8")
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve", "--config", str(config)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        try:
            yield Target.parse(_address(process, log))
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(GREETING):
            return line.split()[3]
    said = log.read_text("utf-8", "replace").strip().splitlines()
    raise CommandFailed("\n".join(("a candidate did not start:", *said[-5:])))

"""Where a model comes from: data, code, versions, machine. Written into its manifest."""

import datetime
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from export.convert.graph_builder import OPSET
from model_zoo.manifest import DatasetSource, Provenance

UNKNOWN = "unknown"
MODEL_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[1-9][0-9]*")
ORIGIN = "--from"
PLACES = ("--models", "--work")  # where the maker keeps things, which is nobody else's matter


def provenance(datasets: Sequence[DatasetSource], *, seed: int, seconds: float) -> Provenance:
    """Facts of this process and this checkout, and the command that repeats the work."""
    return Provenance(
        datasets=tuple(datasets),
        git_commit=commit(),
        seed=seed,
        torch=version("torch"),
        onnx=version("onnx"),
        onnxruntime=version("onnxruntime"),
        opset=OPSET,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        training_seconds=round(seconds, 1),
        machine=machine(),
        command=_command(),
    )


def _command() -> str:
    """The command without folders of its own: they mean nothing on another machine."""
    kept, words = ["slipway-export"], iter(sys.argv[1:])
    for word in words:
        option, equals, value = word.partition("=")
        if option in PLACES:
            if not equals:
                next(words, None)
        elif word.startswith("-"):
            kept.append(f"{option}={_placeless(option, value)}" if equals else word)
        else:
            kept.append(_placeless(kept[-1], word))
    return shlex.join(kept)


def _placeless(option: str, value: str) -> str:
    """Without the folders that a file lies in; a model's NAME/VERSION is none."""
    if option == ORIGIN and MODEL_VERSION.fullmatch(value):
        return value
    return Path(value).name


def commit(folder: Path = Path(__file__).parent) -> str:
    """Of the tree that the folder is in, with `-dirty` where a file that git knows was changed.

    New files, as a model just published has, do not count.
    """
    git = shutil.which("git")
    if git is None:
        return UNKNOWN
    # tags are left out, so that the whole hash is told and never a name
    words = ("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")
    done = subprocess.run(
        [git, "--no-optional-locks", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or UNKNOWN


def machine() -> str:
    """Class of machine, not its name: processor, cores, memory."""
    cores = len(_lines("/proc/cpuinfo", "processor")) or 1
    models = _lines("/proc/cpuinfo", "model name")
    memory = _lines("/proc/meminfo", "MemTotal")
    gigabytes = f", {int(memory[0].split()[0]) / 2**20:.0f} GiB" if memory else ""
    return f"{models[0] if models else platform.machine()}, {cores} cores{gigabytes}"


def _lines(file: str, key: str) -> list[str]:
    path = Path(file)
    if not path.exists():
        return []
    rows = [line.partition(":") for line in path.read_text().splitlines()]
    return [value.strip() for name, _, value in rows if name.strip() == key]

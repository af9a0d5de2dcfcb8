"""The files that make the containers, read as their tools read them."""

import json
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "docker-compose.yml"

_yaml: Any = import_module("yaml")  # its types are not among the development dependencies
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, on one line, and the stage that it belongs to."""

    stage: str
    word: str
    rest: str


def instructions() -> list[Instruction]:
    """All of them, in order, comments left out."""
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    joined = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    found, stage = [], ""
    for line in filter(None, joined.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stage = rest.rpartition(" AS ")[2]
        found.append(Instruction(stage, word, " ".join(rest.split())))
    return found


def of(stage: str, word: str) -> list[str]:
    """What these instructions of a stage say."""
    return [i.rest for i in instructions() if (i.stage, i.word) == (stage, word)]


def health_command() -> list[str]:
    """The command of HEALTHCHECK, in exec form."""
    (check,) = of("bare", "HEALTHCHECK")
    command: list[str] = json.loads(check.partition("CMD ")[2])
    return command


def compose() -> dict[str, Any]:
    """docker-compose.yml with the default of each variable in its place."""
    text = _VARIABLE.sub(r"\2", COMPOSE.read_text(encoding="utf-8"))
    content: dict[str, Any] = _yaml.safe_load(text)
    return content


def read_yaml(path: Path) -> Any:
    return _yaml.safe_load(path.read_text(encoding="utf-8"))


def write_yaml(path: Path, content: Any) -> None:
    path.write_text(_yaml.safe_dump(content), encoding="utf-8")

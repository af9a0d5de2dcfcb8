"""Where settings come from besides the command line: the environment and a file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PREFIX = "SLIPWAY_"
IGNORED = {"SLIPWAY_DATA"}  # where the export code finds data sets; no business of the server

# Variables of others that mean the same as one of ours, which is stronger.
FOREIGN = {"PORT": "port", "OTEL_EXPORTER_OTLP_ENDPOINT": "tracing_endpoint"}

# Kubernetes describes a Service named "slipway" (or "slipway-…") by variables like these.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP)(_\w+)?$")


class SettingsError(ValueError):
    """A setting is wrong or unknown; the message names it, its value and what is allowed."""


class Given(NamedTuple):
    """A value as it was given, and where."""

    value: object
    source: str


def from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """The variables that are settings, by the name of the setting."""
    given = {}
    for variable, value in environ.items():
        ours = variable.startswith(PREFIX) and variable not in IGNORED
        link = _SERVICE_LINK.search(variable) or value.startswith(("tcp://", "udp://"))
        if ours and value and not link:
            given[variable.removeprefix(PREFIX).lower()] = Given(value, variable)
    for variable, name in FOREIGN.items():
        if environ.get(variable) and name not in given:
            given[name] = Given(environ[variable], variable)
    return given


def from_file(file: Given) -> dict[str, Given]:
    """What the TOML file says, by name; raises SettingsError when it cannot be read."""
    path = Path(str(file.value))
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file.source}={file.value} cannot be read: {error}") from error
    if isinstance(models := content.get("models"), str):  # as seen from the file
        content["models"] = path.parent / models
    return {name: Given(value, f"{path}: {name}") for name, value in content.items()}

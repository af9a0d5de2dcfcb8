"""Everything that can be set, in one table; the only reader of the environment and the file.

A setting `max_queue_size` is the flag --max-queue-size, the variable SLIPWAY_MAX_QUEUE_SIZE and
the line `max_queue_size = …` of the TOML file; the earlier in this list, the stronger.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

PREFIX = "SLIPWAY_"
IGNORED = {"SLIPWAY_DATA"}  # where the export code finds data sets; no business of the server

# Kubernetes describes a Service named "slipway" (or "slipway-…") by variables like these.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP)(_\w+)?$")

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class SettingsError(ValueError):
    """A setting is wrong or unknown; the message names it, its value and what is allowed."""


def _read_bytes(value: object) -> object:
    match = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]*)\s*", value) if isinstance(value, str) else None
    if match is None or match[2].lower() not in _UNITS:
        return value
    return int(match[1]) * _UNITS[match[2].lower()]


def _read_list(value: object) -> object:
    return tuple(re.split(r"[,\s]+", value.strip(" ,"))) if isinstance(value, str) else value


Provider = Literal["auto", "cpu", "cuda", "tensorrt", "openvino"]
Variant = Literal["auto", "fp32", "int8", "fp16"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]
Bytes = Annotated[int, BeforeValidator(_read_bytes)]
Providers = Annotated[tuple[Provider, ...], BeforeValidator(_read_list)]


def _setting(default: Any, text: str, allowed: str = "", **bounds: Any) -> Any:
    bounds["default_factory" if callable(default) else "default"] = default
    return Field(description=text, json_schema_extra={"allowed": allowed}, **bounds)


def _seconds(default: Any, text: str) -> Any:
    return _setting(default, text, "seconds, 0 or more", ge=0, allow_inf_nan=False)


def _timeout(default: float, text: str) -> Any:
    return _setting(default, text, "seconds, more than 0", gt=0, allow_inf_nan=False)


def _size(default: int, text: str) -> Any:
    return _setting(default, text, "bytes, or a number with kB, MB, KiB or MiB", ge=1)


def _count(default: int, text: str, at_least: int = 1) -> Any:
    return _setting(default, text, f"a whole number, {at_least} or more", ge=at_least)


class Settings(BaseModel):
    """One value for each setting; seconds and bytes unless the name says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Path | None = _setting(
        None, "folder of published models; by default those that come with Slipway", "a folder"
    )
    host: str = _setting(
        "127.0.0.1", "address to listen on; 0.0.0.0 lets others in", "an address", min_length=1
    )
    port: int = _setting(
        8000, "port to listen on; the variable PORT works too", "0 to 65535", ge=0, le=65535
    )
    providers: Providers = _setting(
        ("auto",),
        "execution providers of ONNX Runtime, in order of preference",
        "a list of auto, cpu, cuda, tensorrt, openvino",
        min_length=1,
    )
    strict_providers: bool = _setting(False, "refuse to start when another provider steps in")
    variant: Variant = _setting("auto", "precision to serve; auto takes what suits the machine")
    strict: bool = _setting(True, "refuse to start when a model is broken; else serve the others")
    threads: int = _count(0, "CPU threads for inference; 0 takes all that this process may use", 0)
    max_batch_size: int = _count(32, "items that run together at most")
    max_queue_delay_ms: float = _setting(
        0.0, "how long a partial batch waits", "milliseconds", ge=0, allow_inf_nan=False
    )
    max_queue_size: int = _count(256, "items of one model that may wait; more are answered 429")
    request_timeout_s: float = _timeout(30.0, "deadline of a request, then 504")
    pre_drain_s: float = _seconds(0.0, "after SIGTERM: how long to be not ready and still accept")
    drain_s: float = _seconds(
        lambda data: data["request_timeout_s"] + 10.0,
        "then: how long to finish what was accepted; by default request_timeout_s + 10",
    )
    max_items: int = _count(64, "images or texts in one request")
    max_body_bytes: Bytes = _size(1 << 20, "a request body of JSON; more is answered 413")
    max_image_bytes: Bytes = _size(8 << 20, "a request body of images, and one image")
    max_image_pixels: int = _count(25_000_000, "pixels of one image before it is scaled")
    min_image_side: int = _count(1, "pixels of the shorter side of an image")
    max_text_characters: int = _count(32_000, "characters of one text")
    body_timeout_s: float = _timeout(30.0, "time for a request body to arrive, then 408")
    log_level: LogLevel = _setting("info", "what is written to the log")
    log_format: LogFormat = _setting("auto", "form of the log; auto: text on a terminal, else JSON")

    @classmethod
    def load(
        cls,
        cli_overrides: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Flags over environment over file over defaults.

        `cli_overrides` are by name of the setting, and `config` names the file; None and, in the
        environment, empty text mean "not given". Raises SettingsError with all that is wrong.
        """
        environ = os.environ if environ is None else environ
        given = _from_environment(environ)
        for name, value in (cli_overrides or {}).items():
            if value is not None:
                given[name] = _Given(value, _flag(name))
        if file := given.pop("config", None):
            given = _from_file(file) | given
        _check_names(given)
        try:
            return cls.model_validate({name: value for name, (value, _) in given.items()})
        except ValidationError as error:
            names = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors())
            lines = [_describe(name, given[name]) for name in names if name in given]
            raise SettingsError("\n".join(lines)) from None


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table, for command line and docs; a switch is true or false."""

    name: str
    help: str
    allowed: str
    default: str
    is_switch: bool = False

    @property
    def flag(self) -> str:
        """--max-queue-size."""
        return _flag(self.name)

    @property
    def variable(self) -> str:
        """SLIPWAY_MAX_QUEUE_SIZE."""
        return PREFIX + self.name.upper()


class _Given(NamedTuple):
    value: object
    source: str


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    given = {}
    for variable, value in environ.items():
        ours = variable.startswith(PREFIX) and variable not in IGNORED
        link = _SERVICE_LINK.search(variable) or value.startswith(("tcp://", "udp://"))
        if ours and value and not link:
            given[variable.removeprefix(PREFIX).lower()] = _Given(value, variable)
    if environ.get("PORT") and "port" not in given:
        given["port"] = _Given(environ["PORT"], "PORT")
    return given


def _from_file(file: _Given) -> dict[str, _Given]:
    path = Path(str(file.value))
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file.source}={file.value} cannot be read: {error}") from error
    if isinstance(models := content.get("models"), str):  # as seen from the file
        content["models"] = path.parent / models
    return {name: _Given(value, f"{path}: {name}") for name, value in content.items()}


def _check_names(given: Mapping[str, _Given]) -> None:
    unknown = [name for name in given if name not in Settings.model_fields]
    if unknown:
        raise SettingsError("\n".join(_suggest(name, given[name].source) for name in unknown))


def _suggest(name: str, source: str) -> str:
    by_name = {setting.name: setting for setting in SETTINGS}
    nearest = by_name[get_close_matches(name.lower(), by_name, n=1, cutoff=0.0)[0]]
    meant = nearest.name
    if source.startswith((PREFIX, "--")):
        meant = nearest.variable if source.startswith(PREFIX) else nearest.flag
    return f"{source} is not a setting; the nearest is {meant}"


def _describe(name: str, given: _Given) -> str:
    row = next(setting for setting in SETTINGS if setting.name == name)
    return f"{given.source}={_shown(given.value)} is wrong; allowed: {row.allowed}"


def _row(name: str) -> Setting:
    field = Settings.model_fields[name]
    is_switch = field.annotation is bool
    extra = field.json_schema_extra
    allowed = str(extra["allowed"]) if isinstance(extra, dict) else ""
    allowed = allowed or ("true or false" if is_switch else ", ".join(get_args(field.annotation)))
    default = "" if field.default_factory else _shown(field.default)
    return Setting(name, field.description or "", allowed, default, is_switch)


def _shown(value: object) -> str:
    """A value as one would type it; empty for none."""
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


SETTINGS: tuple[Setting, ...] = (
    Setting("config", "TOML file with settings by name", "a file", ""),
    *map(_row, Settings.model_fields),
)


def markdown_table() -> str:
    """The table of all settings as the docs show it."""
    rows = [
        f"| `{s.flag}` | `{s.variable}` | {s.default} | {s.help} ({s.allowed}) |" for s in SETTINGS
    ]
    return "\n".join(["| flag | variable | default | what it does |", "|---|---|---|---|", *rows])

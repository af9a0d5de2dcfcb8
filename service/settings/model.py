"""The settings themselves, and how they are put together from what was given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from service.settings.kinds import (
    Bytes,
    LogFormat,
    LogLevel,
    Names,
    Providers,
    Variant,
    count,
    seconds,
    setting,
    size,
    timeout,
)
from service.settings.sources import PREFIX, Given, SettingsError, from_environment, from_file
from service.settings.table import Setting, flag_of, row, shown


class Settings(BaseModel):
    """One value for each setting; seconds and bytes unless the name says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Path | None = setting(
        None, "folder of published models; by default those that come with Slipway", "a folder"
    )
    default_models: Names = setting(
        ("cifar10-resnet", "reviews-lstm", "en-de-transformer"),
        "models that answer a request that names none; else the first of the task by name",
        "a list of names",
    )
    host: str = setting(
        "127.0.0.1", "address to listen on; 0.0.0.0 lets others in", "an address", min_length=1
    )
    port: int = setting(
        8000, "port to listen on; the variable PORT works too", "0 to 65535", ge=0, le=65535
    )
    providers: Providers = setting(
        ("auto",),
        "execution providers of ONNX Runtime, in order of preference",
        "a list of auto, cpu, cuda, tensorrt, openvino",
        min_length=1,
    )
    strict_providers: bool = setting(False, "refuse to start when another provider steps in")
    variant: Variant = setting("auto", "precision to serve; auto takes what suits the machine")
    strict: bool = setting(True, "refuse to start when a model is broken; else serve the others")
    workers: int = count(
        0, "engine processes behind the port; 0: one a GPU, else one a CPU as memory allows", 0
    )
    front_ends: int = count(
        0, "processes that speak HTTP before one engine process; 0: each engine does itself", 0
    )
    threads: int = count(0, "worker threads a model in each process; 0: its share of the CPUs", 0)
    max_batch_size: int = count(32, "items that run together at most")
    decode_slots: int = count(32, "sentences that a worker translates step by step together", 8)
    max_queue_delay_ms: float = setting(
        0.0, "how long a partial batch waits", "milliseconds", ge=0, allow_inf_nan=False
    )
    max_queue_size: int = count(
        256, "items of one model that may wait, of each priority; more are answered 429"
    )
    max_queue_s: float = timeout(
        10.0, "predicted time for which work may wait; more is answered 429"
    )
    share_identical: bool = setting(
        True, "identical items in flight run once, up to 256 KiB each", "yes or no"
    )
    cache_bytes: Bytes = setting(
        0,
        "kept answers of each model; 0 for none",
        "bytes, or a number with kB, MB, KiB or MiB",
        ge=0,
    )
    request_timeout_s: float = timeout(30.0, "deadline of a request, then 504")
    pre_drain_s: float = seconds(0.0, "after SIGTERM: how long to be not ready and still accept")
    drain_s: float = seconds(
        lambda data: data["request_timeout_s"] + 10.0,
        "then: how long to finish what was accepted; by default request_timeout_s + 10",
    )
    max_items: int = count(64, "images or texts in one request")
    max_body_bytes: Bytes = size(1 << 20, "a request body of JSON; more is answered 413")
    max_image_bytes: Bytes = size(8 << 20, "a request body of images, and one image")
    max_image_pixels: int = count(25_000_000, "pixels of one image before it is scaled")
    min_image_side: int = count(1, "pixels of the shorter side of an image")
    max_text_characters: int = count(32_000, "characters of one text")
    body_timeout_s: float = timeout(30.0, "time for a request body to arrive, then 408")
    watchdog_s: float = seconds(
        30.0, "with several processes: replace one whose event loop stands still so long; 0: never"
    )
    log_level: LogLevel = setting("info", "what is written to the log")
    log_format: LogFormat = setting("auto", "form of the log; auto: text on a terminal, else JSON")
    tracing_endpoint: str = setting(
        "",
        "OTLP receiver of spans; OTEL_EXPORTER_OTLP_ENDPOINT works too; without one no tracing",
        "a URL such as http://localhost:4318",
        pattern=r"^(https?://[^\s/]+\S*)?$",
    )

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
        given = from_environment(environ)
        for name, value in (cli_overrides or {}).items():
            if value is not None:
                given[name] = Given(value, flag_of(name))
        if file := given.pop("config", None):
            given = from_file(file) | given
        _check_names(given)
        try:
            return cls.model_validate({name: value for name, (value, _) in given.items()})
        except ValidationError as error:
            names = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors())
            lines = [_describe(name, given[name]) for name in names if name in given]
            raise SettingsError("\n".join(lines)) from None


def _check_names(given: Mapping[str, Given]) -> None:
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


def _describe(name: str, given: Given) -> str:
    row = next(setting for setting in SETTINGS if setting.name == name)
    return f"{given.source}={shown(given.value)} is wrong; allowed: {row.allowed}"


SETTINGS: tuple[Setting, ...] = (
    Setting("config", "TOML file with settings by name", "a file", ""),
    *(row(name, field) for name, field in Settings.model_fields.items()),
)

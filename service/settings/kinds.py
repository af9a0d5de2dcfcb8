"""What kinds of values settings have: how text becomes one, and how a field is described."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def _read_bytes(value: object) -> object:
    match = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]*)\s*", value) if isinstance(value, str) else None
    if match is None or match[2].lower() not in _UNITS:
        return value
    return int(match[1]) * _UNITS[match[2].lower()]


def _read_list(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(word for word in re.split(r"[,\s]+", value) if word)


Provider = Literal["auto", "cpu", "cuda", "tensorrt", "openvino"]
Variant = Literal["auto", "fp32", "int8", "fp16"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]
Bytes = Annotated[int, BeforeValidator(_read_bytes)]
Names = Annotated[tuple[str, ...], BeforeValidator(_read_list)]
Providers = Annotated[tuple[Provider, ...], BeforeValidator(_read_list)]


def setting(default: Any, text: str, allowed: str = "", **bounds: Any) -> Any:
    """A field with its help, what is allowed and the bounds that pydantic checks."""
    bounds["default_factory" if callable(default) else "default"] = default
    return Field(description=text, json_schema_extra={"allowed": allowed}, **bounds)


def seconds(default: Any, text: str) -> Any:
    """A field of seconds that may be 0."""
    return setting(default, text, "seconds, 0 or more", ge=0, allow_inf_nan=False)


def timeout(default: float, text: str) -> Any:
    """A field of seconds."""
    return setting(default, text, "seconds, more than 0", gt=0, allow_inf_nan=False)


def size(default: int, text: str) -> Any:
    """A field of bytes."""
    return setting(default, text, "bytes, or a number with kB, MB, KiB or MiB", ge=1)


def count(default: int, text: str, at_least: int = 1) -> Any:
    """A field of whole numbers."""
    return setting(default, text, f"a whole number, {at_least} or more", ge=at_least)

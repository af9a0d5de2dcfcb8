"""One row for each setting, as the command line and the docs show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pydantic.fields import FieldInfo

from service.settings.sources import PREFIX


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
        return flag_of(self.name)

    @property
    def variable(self) -> str:
        """SLIPWAY_MAX_QUEUE_SIZE."""
        return PREFIX + self.name.upper()


def flag_of(name: str) -> str:
    """--max-queue-size for max_queue_size."""
    return "--" + name.replace("_", "-")


def row(name: str, field: FieldInfo) -> Setting:
    """The row of one field."""
    is_switch = field.annotation is bool
    extra = field.json_schema_extra
    allowed = str(extra["allowed"]) if isinstance(extra, dict) else ""
    allowed = allowed or ("true or false" if is_switch else ", ".join(get_args(field.annotation)))
    default = "" if field.default_factory else shown(field.default)
    return Setting(name, field.description or "", allowed, default, is_switch)


def shown(value: object) -> str:
    """A value as one would type it; empty for none."""
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)

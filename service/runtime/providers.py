"""Which execution provider and which variant. Pure rules; what is usable comes from session.py.

Short names are used everywhere but in session.py: cpu, cuda, tensorrt, openvino.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from model_zoo.manifest import Precision, Provider, Variant
from service.runtime.errors import ProviderUnavailable, VariantUnavailable

KNOWN: tuple[Provider, ...] = get_args(Provider)
BEST_FIRST: tuple[Provider, ...] = ("cuda", "openvino", "cpu")
SUITS: dict[Provider, tuple[Precision, ...]] = {
    "cpu": ("int8", "fp32"),
    "openvino": ("int8", "fp32", "fp16"),
    "cuda": ("fp16", "fp32"),
    "tensorrt": ("fp16", "fp32"),
}
# what cpuinfo calls a feature, and what a variant's `needs` calls it
FEATURES = {
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx512_vnni": "vnni",
    "avx_vnni": "vnni",
    "amx_int8": "amx",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Providers in order of preference; automatic when the user left the choice to us."""

    names: tuple[Provider, ...]
    automatic: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant to load, and the providers to open it with, best first."""

    variant: Variant
    providers: tuple[Provider, ...]


def parse_providers(text: str, usable: Collection[str]) -> Asked:
    """Read "auto" or a comma list such as "cuda,cpu"; ProviderUnavailable for an unknown name."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names in ([], ["auto"]):
        return Asked(tuple(p for p in BEST_FIRST if p in usable or p == "cpu"), automatic=True)
    unknown = [name for name in names if name not in KNOWN]
    if unknown:
        known = ", ".join(KNOWN)
        raise ProviderUnavailable(f"unknown provider {unknown[0]!r}; known are auto, {known}")
    return Asked(tuple(p for p in dict.fromkeys(names) if p in KNOWN), automatic=False)


def choose_variant(
    variants: Sequence[Variant],
    asked: Asked,
    *,
    usable: Collection[str],
    features: Collection[str],
    precision: Precision | None = None,
    strict: bool = False,
) -> Choice:
    """The best of `choices`."""
    return choices(
        variants, asked, usable=usable, features=features, precision=precision, strict=strict
    )[0]


def choices(
    variants: Sequence[Variant],
    asked: Asked,
    *,
    usable: Collection[str],
    features: Collection[str],
    precision: Precision | None = None,
    strict: bool = False,
) -> list[Choice]:
    """The variants that suit the asked providers that are usable, best first, at least one; the
    CPU is the last resort.

    `precision` overrides the preference and the variant's `needs`. `strict` makes it an error
    (ProviderUnavailable) when the first provider that the user named is not the best choice's.
    """
    order = [p for p in asked.names if p in usable or p == "cpu"]
    if "cpu" not in order:
        order.append("cpu")
    found = [
        Choice(variant, (provider, *(p for p in order[place + 1 :] if p in variant.providers)))
        for place, provider in enumerate(order)
        for variant in _suitable(variants, provider, features, precision)
    ]
    if not found or (strict and not asked.automatic and found[0].providers[0] != asked.names[0]):
        raise _refusal(variants, asked, usable, precision)
    return found


def _suitable(
    variants: Sequence[Variant],
    provider: Provider,
    features: Collection[str],
    precision: Precision | None,
) -> list[Variant]:
    """Best first."""
    return [
        variant
        for wanted in ((precision,) if precision else SUITS[provider])
        for variant in variants
        if variant.precision == wanted
        and provider in variant.providers
        and (precision is not None or set(variant.needs) <= set(features))
    ]


def _refusal(
    variants: Sequence[Variant],
    asked: Asked,
    usable: Collection[str],
    precision: Precision | None,
) -> ProviderUnavailable | VariantUnavailable:
    first = asked.names[0]
    if first not in usable and first != "cpu":
        return ProviderUnavailable(f"{first} does not run here; usable are {sorted(usable)}")
    offered = ", ".join(f"{v.precision} for {'/'.join(v.providers)}" for v in variants)
    wanted = f"{precision} " if precision else ""
    return VariantUnavailable(f"no {wanted}variant for {first}; the model has {offered}")


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What this CPU can do, in the words of a variant's `needs`; empty where it cannot be told."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:  # not Linux: variants that need nothing still run
        return frozenset()
    flags: set[str] = set()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags.update(value.split())
    return frozenset(FEATURES[flag] for flag in flags if flag in FEATURES)

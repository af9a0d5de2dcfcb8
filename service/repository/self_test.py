"""Does a variant answer here as it did where it was published? Asked before it may serve."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from model_zoo.golden import parse_golden
from model_zoo.manifest import Manifest, Precision, Variant
from service.errors import ServiceError
from service.runtime.runner import Runner
from service.tasks.golden import deviation, golden_features
from service.tasks.registry import AnyTask

Outcome = Literal["passed", "failed", "none"]


@dataclass(frozen=True, slots=True)
class SelfTestReport:
    """What became of one variant's self-test, on which provider, and why; safe to show."""

    variant: Precision
    provider: str
    outcome: Outcome
    reason: str


def broken(variant: Variant, provider: str, error: Exception) -> SelfTestReport:
    """The report on a variant that cannot even be opened or run, because of `error`."""
    said = error.detail if isinstance(error, ServiceError) else str(error)
    reason = f"it cannot run: {said or type(error).__name__}"
    return SelfTestReport(variant.precision, provider, "failed", reason)


def self_test(
    manifest: Manifest,
    variant: Variant,
    read: Callable[[str], bytes],
    task: AnyTask,
    runner: Runner,
    provider: str,
) -> SelfTestReport:
    """Run the variant's golden items in one batch and compare. Raises ManifestInvalid for a golden
    file that is none."""

    def report(outcome: Outcome, reason: str) -> SelfTestReport:
        return SelfTestReport(variant.precision, provider, outcome, reason)

    promised = variant.self_test
    if promised is None:
        return report("none", "no self-test")
    golden = parse_golden(read(promised.file), promised.file)
    expected = golden.rows.get(variant.precision, ())
    try:
        rows = list(runner.run(golden_features(golden, manifest, task)))
    except (ServiceError, ValueError) as error:
        said = error.detail if isinstance(error, ServiceError) else error
        return report("failed", f"the golden items cannot be run: {said}")
    found = deviation(expected, rows)
    told = (
        f"{found.agreement:.0%} of {len(rows)} answers the same (at least "
        f"{promised.agreement:.0%}), largest difference {found.max_abs_diff:.2g} "
        f"(allowed {promised.tolerance:.2g})"
    )
    # NaN must fail, hence not '>'
    if found.max_abs_diff <= promised.tolerance and found.agreement >= promised.agreement:
        return report("passed", told)
    return report("failed", told)

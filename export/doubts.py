"""The card's pages on what the model knows of itself: doubt, self-test, speed."""

from collections.abc import Sequence

from export.markdown import section, table
from export.temperature import temperature_of
from model_zoo.manifest import Manifest, Variant

SEVEN_BITS = (
    "int8 weights use seven of their eight bits, so that no x86 processor, with VNNI or without, "
    "saturates and all give the same answers. What int8 costs in all, that bit included, stands in "
    "brackets beside its figures."
)

SMOOTHING = (
    "The smoothing is the share of every answer that training spread over all classes alike. "
)


def doubt_sections(manifest: Manifest) -> list[str]:
    """Calibration, strangers, foresight and self-test, as far as they were measured."""
    variants = manifest.variants
    return [
        section("Is its confidence honest?", _temperatures(manifest), _calibration(variants)),
        section(
            "Does it notice what it does not know?", _threshold(manifest), _strangers(variants)
        ),
        section("Can it tell a bad translation?", _formula(manifest), _foresight(variants)),
        section("Self-test", _self_test(variants)),
    ]


def time_paragraphs(manifest: Manifest) -> list[str]:
    """The latency of every variant side by side, and what int8 costs in return."""
    timed = {v.precision: v.evidence.timing for v in manifest.variants if v.evidence.timing}
    if not timed:
        return []
    cells: dict[tuple[int, int | None], dict[str, float]] = {}
    for precision, timing in timed.items():
        for run in timing.runs:
            cells.setdefault((run.batch, run.length), {})[precision] = run.milliseconds
    complete = {key: found for key, found in cells.items() if len(found) == len(timed)}
    rows = [
        (
            str(batch),
            str(length or ""),
            *(f"{of_cell[p]:.2f}" for p in timed),
            *(f"{1000 * batch / of_cell[p]:,.0f}" for p in timed),
        )
        for (batch, length), of_cell in complete.items()
    ]
    heading = (
        "Batch",
        "Tokens each",
        *(f"{p}, ms" for p in timed),
        *(f"{p}, items/s" for p in timed),
    )
    machine = next(iter(timed.values())).machine
    told = f"One run on one core ({machine}), the fastest of several."
    return [told, table(heading, rows), SEVEN_BITS if "int8" in timed else ""]


def _temperatures(manifest: Manifest) -> str:
    known = {v.precision: temperature_of(v.evidence) for v in manifest.variants}
    told = ", ".join(f"{value} ({name})" for name, value in known.items() if value)
    if not told:
        return ""
    smooth = any(value.smoothing for value in known.values() if value)
    return (
        f"The logits are divided by a temperature, {told}, inside the graph; it was fitted on "
        f"validation data. {SMOOTHING if smooth else ''}ECE: expected calibration error over 15 "
        "bins. NLL: negative log-likelihood. Each before → after."
    )


def _calibration(variants: Sequence[Variant]) -> str:
    rows = [
        (
            variant.precision,
            f"{one.dataset} {one.split} ({one.items:,})",
            f"{100 * one.before.ece:.2f} → {100 * one.after.ece:.2f} %",
            f"{one.before.nll:.4f} → {one.after.nll:.4f}",
            f"{one.before.brier:.4f} → {one.after.brier:.4f}",
            f"{100 * one.uncertain:.1f} %",
        )
        for variant in variants
        for one in variant.evidence.calibration
    ]
    return table(("Variant", "Data", "ECE", "NLL", "Brier", "Uncertain"), rows)


def _threshold(manifest: Manifest) -> str:
    if manifest.confidence is None:
        return ""
    return (
        f"An answer is `uncertain` where its energy, -logsumexp of the logits, is above "
        f"{manifest.confidence.max_energy:.3f}, which {manifest.confidence.accepted:.0%} of the "
        "validation data are not. AUROC: the chance that a strange item looks stranger than one of "
        "the test split; 0.5 is guessing."
    )


def _strangers(variants: Sequence[Variant]) -> str:
    rows = [
        (
            variant.precision,
            f"{one.name} ({one.items:,})",
            f"{one.auroc_energy:.3f}",
            f"{one.auroc_confidence:.3f}",
            f"{100 * one.uncertain:.1f} %",
        )
        for variant in variants
        for one in variant.evidence.strangers
    ]
    heading = ("Variant", "Against", "AUROC, energy", "AUROC, probability", "Uncertain")
    return table(heading, rows)


def _formula(manifest: Manifest) -> str:
    if manifest.quality is None:
        return ""
    terms = "".join(
        f" {'+' if term.weight >= 0 else '-'} {abs(term.weight):.3f} · {term.feature}"
        for term in manifest.quality.terms
    )
    return (
        f"`quality` = sigmoid({manifest.quality.bias:.3f}{terms}), fitted to sentence chrF on "
        "validation data. Its correlation with the chrF of single sentences:"
    )


def _foresight(variants: Sequence[Variant]) -> str:
    rows = [
        (
            variant.precision,
            f"{one.dataset} {one.split} ({one.items:,})",
            f"{one.pearson:.3f}",
            f"{one.spearman:.3f}",
        )
        for variant in variants
        for one in variant.evidence.foresight
    ]
    return table(("Variant", "Data", "Pearson", "Spearman"), rows)


def _self_test(variants: Sequence[Variant]) -> str:
    rows = [
        (
            variant.precision,
            str(variant.self_test.items),
            f"{variant.self_test.tolerance:g}",
            f"{variant.self_test.agreement:.0%}",
        )
        for variant in variants
        if variant.self_test
    ]
    return table(("Variant", "Items", "Largest difference", "Same answers, at least"), rows)

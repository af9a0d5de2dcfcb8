"""`slipway-export check`: every gate once more on a model that is already published."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from export.candidate import Candidate, OpenedVariant, answer_of, of_published
from export.console import Story
from export.datasets.errors import DatasetMissing
from export.gates import GateFailed
from export.options import Options, OtherRun
from export.recipes.judging import Gates, Reexamination, answers_of, at_temperature
from export.recipes.pieces import compare_pieces, is_cut
from export.training import NothingLearnt
from export.transfer.errors import TransferError
from model_zoo.catalog import Catalog
from model_zoo.errors import ModelNotFound
from model_zoo.golden import parse_golden
from model_zoo.manifest import Manifest, Measurement, Precision, Variant
from service.tasks.golden import deviation, golden_features

Verdict = Literal["passed", "failed", "not run"]
# what a work folder without the network of this model may raise; the last two are torch's
NO_NETWORK = (OtherRun, NothingLearnt, TransferError, ModelNotFound, RuntimeError, ValueError)
NO_DATA = "none here; `SLIPWAY_DATA` names their folder"
NO_CHECKPOINT = "no checkpoint with a finished epoch of the training run here"
# how far a figure may fall below the promised one, in its own unit: processors round differently
SLACK = {"accuracy": 0.002, "bleu": 0.3, "chrf": 0.3}


@dataclass(frozen=True, slots=True)
class Row:
    """One gate of one variant."""

    variant: str
    gate: str
    found: str
    verdict: Verdict


def check(options: Options, name: str, version: int | None, story: Story) -> list[Row]:
    """All gates; none stops the others. Raises ModelNotFound, FileMismatch and DatasetError.

    Where the data that it was made from are not here, other items serve for what any item can
    tell, and no figure is measured.
    """
    published = Catalog(options.models).open(name, version)
    published.verify()
    manifest, candidate = published.manifest, of_published(published)
    again, data, is_measured = _with_data(options, manifest, story)
    rows = [Row("", "files", f"{len(manifest.artefacts())} as promised", "passed"), data]
    reference: tuple[Measurement, ...] = ()
    for variant in sorted(manifest.variants, key=lambda one: one.precision != "fp32"):
        story.say(f"checking {variant.precision}")
        opened = candidate.open(variant.precision)
        rows.append(_golden_row(candidate, variant, opened))
        rows += _gate_rows(variant, opened, again)
        if is_cut(candidate, variant.precision):
            rows.append(_pieces_row(candidate, variant.precision, again))
        measured = again.exam.measure(opened) if is_measured else ()
        reference = reference or measured
        rows += _accuracy_rows(variant, measured, reference, again)
    return rows


def as_published(options: Options, manifest: Manifest) -> Options:
    """The options of the run that made the model, as far as its manifest and the note in its work
    folder tell them."""
    words = shlex.split(manifest.provenance.command)
    spec = manifest.preprocessing
    asked = replace(
        options,
        name=manifest.name,
        quick=options.quick or "--quick" in words,
        seed=manifest.provenance.seed,
        fresh=False,
    )
    if spec.kind == "translation":
        asked = replace(asked, languages=(spec.source, spec.target))
    return asked.as_claimed(manifest.name) if asked.has_checkpoint(manifest.name) else asked


def _reexamined(options: Options, manifest: Manifest, story: Story) -> Reexamination:
    asked = as_published(options, manifest)
    try:
        return _ask_recipe(asked, manifest, story)
    except NO_NETWORK as error:
        if not asked.has_checkpoint(manifest.name):
            raise
        story.say(f"the checkpoint does not serve, parity is left out: {error}".splitlines()[0])
        return _ask_recipe(replace(asked, work=asked.work / "none"), manifest, story)


def _ask_recipe(options: Options, manifest: Manifest, story: Story) -> Reexamination:
    # each recipe brings libraries of its own, of which a check needs one set
    spec = manifest.preprocessing
    if spec.kind == "image":
        from export.recipes.image_classification import reexamine

        return reexamine(options, manifest.name, story)
    if spec.kind == "text":
        from export.recipes.sentiment import reexamine as reexamine_texts

        return reexamine_texts(options, manifest.name, story)
    from export.recipes.translation import reexamine as reexamine_translations

    return reexamine_translations(options, manifest.name, spec, story)


def _with_data(
    options: Options, manifest: Manifest, story: Story
) -> tuple[Reexamination, Row, bool]:
    """The exam, on made-up items where there are no data; what was found of those that the model
    was made from; and whether figures can be measured."""
    try:
        again = _reexamined(options, manifest, story)
    except DatasetMissing as error:
        if options.data is not None:
            raise  # who names data wants no other
        story.say(str(error))
        again = _reexamined(replace(options, quick=True), manifest, story)
        return again, Row("", "data", NO_DATA, "not run"), False
    names = dict.fromkeys(source.name for source in manifest.provenance.datasets)
    if names and names.keys().isdisjoint(source.name for source in again.sources):
        told = (
            f"it was made from {', '.join(names)}, not from what is here; --data names other data"
        )
        return again, Row("", "data", told, "not run"), False
    return again, _data_row(manifest, again), True


def _data_row(manifest: Manifest, again: Reexamination) -> Row:
    promised = {source.sha256 for source in manifest.provenance.datasets}
    found = {source.sha256 for source in again.sources}
    missing = promised - found
    if missing and found - promised:
        return Row("", "data", "other rows than it was published with", "failed")
    if missing:
        told = f"{len(missing)} of {len(promised)} sources are not here"
        return Row("", "data", told, "not run")
    return Row("", "data", f"{len(promised)} sources as promised", "passed")


def _golden_row(candidate: Candidate, variant: Variant, opened: OpenedVariant) -> Row:
    promised = variant.self_test
    if promised is None:
        return Row(variant.precision, "golden", "no self-test", "not run")
    golden = parse_golden(candidate.files[promised.file], promised.file)
    features = golden_features(golden, candidate.manifest, opened.task)
    found = deviation(golden.rows.get(variant.precision, ()), opened.rows(features))
    passed = found.max_abs_diff <= promised.tolerance and found.agreement >= promised.agreement
    told = f"{found.max_abs_diff:.1e}, {found.agreement:.0%} of {promised.items} the same"
    return Row(variant.precision, "golden", told, "passed" if passed else "failed")


def _gate_rows(variant: Variant, opened: OpenedVariant, again: Reexamination) -> Iterator[Row]:
    precision: Precision = variant.precision
    features = opened.features(again.exam.items)
    bounds: Gates = again.gates[precision]
    if again.knows_network:
        got = [answer_of(row) for row in opened.rows(features)]
        answers = again.exam.torch_answers(features)
        expected = at_temperature(answers, features, variant.evidence)

        def parity() -> str:
            found = bounds.parity.check(precision, expected, got)
            return f"{found.max_abs_diff:.1e}, {found.agreement:.2%} of {found.items} the same"

        yield _judged(precision, "parity", parity)
    else:
        yield Row(precision, "parity", NO_CHECKPOINT, "not run")

    def invariance() -> str:
        found = bounds.invariance.check(precision, answers_of(opened), features)
        return f"{found.max_abs_diff:.1e}, {found.agreement:.2%} of {found.items} the same"

    yield _judged(precision, "invariance", invariance)


def _pieces_row(candidate: Candidate, precision: Precision, again: Reexamination) -> Row:
    def pieces() -> str:
        found = compare_pieces(candidate, precision, again.exam.items)
        return f"{found.max_abs:.1e}, {found.agreement:.2%} of {found.items} the same"

    return _judged(precision, "pieces", pieces)


def _judged(variant: str, gate: str, run: Callable[[], str]) -> Row:
    try:
        return Row(variant, gate, run(), "passed")
    except GateFailed as error:
        return Row(variant, gate, str(error), "failed")


def _accuracy_rows(
    variant: Variant,
    measured: Sequence[Measurement],
    reference: Sequence[Measurement],
    again: Reexamination,
) -> Iterator[Row]:
    def floors() -> str:
        again.exam.accuracy.check(variant.precision, measured, reference)
        return "every figure reaches its floor"

    if not variant.evidence.accuracy:
        yield Row(variant.precision, "accuracy", "nothing was promised", "not run")
    elif not measured:
        yield Row(variant.precision, "accuracy", "no data to measure it", "not run")
    else:
        yield _judged(variant.precision, "accuracy", floors)
    promised = {(m.dataset, m.split, m.metric): m.value for m in variant.evidence.accuracy}
    for one in measured:
        wanted = promised.get((one.dataset, one.split, one.metric))
        what = f"{one.metric} on {one.dataset}"
        if wanted is None:
            yield Row(variant.precision, what, f"{one.value:.4g}, nothing promised", "not run")
            continue
        kept = one.value >= wanted - SLACK.get(one.metric, 0.0)
        told = f"{one.value:.4g}, promised {wanted:.4g}"
        yield Row(variant.precision, what, told, "passed" if kept else "failed")
    here = {(m.dataset, m.split, m.metric) for m in measured}
    for (dataset, split, metric), value in promised.items():
        if (dataset, split, metric) not in here:
            told = f"promised {value:.4g}, its data are not here"
            yield Row(variant.precision, f"{metric} on {dataset}", told, "not run")


def table(rows: Sequence[Row]) -> str:
    """The rows as lines to read."""
    columns = [(row.variant, row.gate, row.verdict, row.found) for row in rows]
    widths = [max(len(row[place]) for row in columns) for place in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in columns
    )

"""Writes the model card, the README.md of a model's folder: what it is, how good, made from what.

All figures come from the manifest; the recipe adds words and pictures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from export.doubts import doubt_sections, time_paragraphs
from export.markdown import section, table
from model_zoo.manifest import Manifest, Measurement, Variant

CARD_FILE = "README.md"
SHOWN_LABELS = 20


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture of the card: its file name in the model's folder, its content, what it shows."""

    file: str
    png: bytes
    caption: str


@dataclass(frozen=True, slots=True)
class CardText:
    """What no measurement can tell: lists of sentences, a paragraph on training, the licence."""

    intended_use: tuple[str, ...]
    misuse: tuple[str, ...]
    known_limits: tuple[str, ...]
    training: str
    licence: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that a recipe adds to the card under a title, after the figures, with a sentence."""

    title: str
    heading: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    note: str = ""


def model_card(
    manifest: Manifest,
    text: CardText,
    plots: Sequence[Plot] = (),
    tables: Sequence[Table] = (),
    failures: Table | None = None,
) -> str:
    """The card in Markdown; the manifest may still lack the card itself among its files."""
    sections = (
        f"# {manifest.name}, version {manifest.version}\n\n{manifest.description}",
        table(("", ""), _summary(manifest)),
        section("Intended use", _bullets(text.intended_use)),
        section("Not for", _bullets(text.misuse)),
        section("Figures", _figures(manifest.variants), _gates(manifest.variants)),
        *(section(one.title, one.note, table(one.heading, one.rows)) for one in tables),
        *doubt_sections(manifest),
        section("Time", *time_paragraphs(manifest)),
        section("Training", text.training, table(("", ""), _provenance(manifest))),
        section("Data", _data(manifest), f"Licence of the model: {text.licence}."),
        section("Plots", *(f"![{plot.caption}]({plot.file})\n\n{plot.caption}" for plot in plots)),
        section("Known limits", _bullets(text.known_limits)),
        section(failures.title, failures.note, table(failures.heading, failures.rows))
        if failures
        else "",
        section("Make it again", f"```sh\n{manifest.provenance.command}\n```"),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"* {sentence}" for sentence in sentences)


def _summary(manifest: Manifest) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = [("Task", manifest.task)]
    if manifest.labels:
        more = len(manifest.labels) - SHOWN_LABELS
        shown = ", ".join(manifest.labels[:SHOWN_LABELS])
        rows.append(("Labels", f"{shown}, and {more} more" if more > 0 else shown))
    rows.append(("Input", _input(manifest)))
    for variant in manifest.variants:
        megabytes = sum(graph.bytes for graph in variant.graphs) / 1e6
        files = ", ".join(graph.file for graph in variant.graphs)
        needs = f", needs {', '.join(variant.needs)}" if variant.needs else ""
        providers = ", ".join(variant.providers)
        rows.append((variant.precision, f"{files} ({megabytes:.1f} MB; {providers}{needs})"))
    return rows


def _input(manifest: Manifest) -> str:
    spec = manifest.preprocessing
    if spec.kind == "image":
        manner = {"squash": "squashed", "crop": "cropped"}[spec.fit]
        return f"RGB image, {manner} to {spec.width} x {spec.height} ({spec.interpolation})"
    if spec.kind == "text":
        return f"text, up to {spec.max_tokens} tokens"
    languages = f"{spec.source} to {spec.target}"
    return f"sentence, {languages}, up to {spec.max_source_tokens} tokens"


def _figures(variants: Sequence[Variant]) -> str:
    """One row a figure, one column a variant; in brackets the difference to fp32's."""
    measured = {v.precision: {_key(m): m for m in v.evidence.accuracy} for v in variants}
    keys = dict.fromkeys(key for figures in measured.values() for key in figures)
    heading = ("Data set", "Split", "Metric", *measured)
    rows = [
        (*key, *(_value(figures[key]) if key in figures else "" for figures in measured.values()))
        for key in keys
    ]
    return table(heading, rows)


def _key(measurement: Measurement) -> tuple[str, str, str]:
    return measurement.dataset, f"{measurement.split} ({measurement.items:,})", measurement.metric


def _value(measurement: Measurement) -> str:
    lost = measurement.below_fp32
    if measurement.metric == "accuracy":
        loss = f" ({-100 * lost:+.2f})" if lost is not None else ""
        return f"{100 * measurement.value:.2f} %{loss}"
    loss = f" ({-lost:+.2f})" if lost is not None else ""
    if measurement.metric in ("bleu", "chrf"):
        return f"{measurement.value:.2f}{loss}"
    return f"{measurement.value:.4g}{loss}"


def _gates(variants: Sequence[Variant]) -> str:
    rows = []
    for variant in variants:
        parity, invariance = variant.evidence.parity, variant.evidence.invariance
        if parity:
            rows.append(
                (
                    variant.precision,
                    "parity with the network in torch",
                    f"{parity.max_abs_diff:.2g} (allowed {parity.tolerance:.2g})",
                    f"{100 * parity.agreement:.2f} % of {parity.items:,}",
                )
            )
        if invariance:
            sizes = ", ".join(map(str, invariance.sizes))
            rows.append(
                (
                    variant.precision,
                    f"alone against in batches of {sizes}",
                    f"{invariance.max_abs_diff:.2g} (allowed {invariance.tolerance:.2g})",
                    f"{100 * invariance.agreement:.2f} % of {invariance.items:,}",
                )
            )
    return table(("Variant", "Gate", "Largest difference", "Same answer"), rows)


def _provenance(manifest: Manifest) -> list[tuple[str, str]]:
    made = manifest.provenance
    versions = f"torch {made.torch}, onnx {made.onnx} (opset {made.opset})"
    return [
        ("Time", f"{_duration(made.training_seconds)} on {made.machine}"),
        ("Versions", f"{versions}, onnxruntime {made.onnxruntime}"),
        ("Seed, commit", f"{made.seed}, {made.git_commit}"),
        ("Made", made.created),
    ]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _data(manifest: Manifest) -> str:
    rows = [
        (
            source.name,
            source.split,
            f"{source.rows:,}",
            source.licence,
            source.source,
            f"`{source.sha256[:12]}…`",
        )
        for source in manifest.provenance.datasets
    ]
    return table(("Data set", "Split", "Rows", "Terms", "From", "sha256"), rows)

"""`slipway models`: what is published, or with --self-test what each variant answers here."""

import argparse
import sys
from typing import Any

import orjson
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from model_zoo.catalog import Catalog, ModelRef, PublishedModel
from model_zoo.errors import ModelZooError
from model_zoo.manifest import Manifest, Variant
from service.cli.errors import CommandFailed
from service.cli.tables import make_table, show
from service.repository.loading import open_runner, possible_choices
from service.repository.options import LoadOptions
from service.repository.self_test import SelfTestReport, broken, self_test
from service.runtime.errors import EngineError
from service.runtime.providers import Choice
from service.tasks.registry import AnyTask, make_task

MEGABYTE = 1_000_000


def run(options: argparse.Namespace) -> int:
    """List the models; exit code 1 if one is broken."""
    catalog = Catalog(options.models) if options.models else Catalog()
    if options.self_test:
        return _run_self_tests(catalog)
    found = [(ref, _open(catalog, ref, verify=options.verify)) for ref in catalog.list()]
    if not found:
        raise CommandFailed(f"no models in {catalog.root}; `slipway-export` publishes one")
    if options.json:
        _write_json(found)
    else:
        show(_table(found), instead=_list(found))
    return int(any(isinstance(manifest, str) for _, manifest in found))


def _run_self_tests(catalog: Catalog) -> int:
    """Every variant that suits this machine, best first; exit code 1 unless all answer rightly."""
    table = make_table(("model", "version", "variant", "on", "self-test", "why"), folds="why")
    sound = True
    for ref in catalog.list():
        try:
            reports = _reports(catalog.open(ref.name, ref.version))
        except (ModelZooError, EngineError) as error:
            table.add_row(Text(ref.name), str(ref.version), "", "", "broken", Text(str(error)))
            sound = False
            continue
        for report in reports:
            cells = (ref.name, str(ref.version), report.variant, report.provider)
            table.add_row(*map(Text, (*cells, report.outcome, report.reason)))
            sound &= report.outcome != "failed"
    show(table)
    return int(not sound)


def _reports(published: PublishedModel) -> list[SelfTestReport]:
    task = make_task(published.manifest, published.read)
    choices = possible_choices(published.manifest, LoadOptions())
    return [_report(published, choice, task) for choice in choices]


def _report(published: PublishedModel, choice: Choice, task: AnyTask) -> SelfTestReport:
    manifest, variant, provider = published.manifest, choice.variant, choice.providers[0]
    try:
        runner = open_runner(published, choice, strict=False)
    except EngineError as error:
        return broken(variant, provider, error)
    return self_test(manifest, variant, published.read, task, runner, provider)


def _open(catalog: Catalog, ref: ModelRef, *, verify: bool) -> Manifest | str:
    """The manifest, or why there is none to be trusted."""
    try:
        published = catalog.open(ref.name, ref.version)
        if verify:
            published.verify()
    except ModelZooError as error:
        return str(error)
    return published.manifest


def _write_json(found: list[tuple[ModelRef, Manifest | str]]) -> None:
    rows: list[dict[str, Any]] = [
        {"name": ref.name, "version": ref.version, "broken": manifest}
        if isinstance(manifest, str)
        else manifest.model_dump(mode="json", exclude_none=True)
        for ref, manifest in found
    ]
    sys.stdout.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode() + "\n")


def _table(found: list[tuple[ModelRef, Manifest | str]]) -> Table:
    titles = ("model", "version", "task", "variant", "MB", "on", "self-test", "quality")
    table = make_table(titles, right=("version", "MB"), folds="quality")
    for ref, manifest in found:
        if isinstance(manifest, str):
            reason = Text(f"broken: {manifest}", style="red")
            table.add_row(Text(ref.name), str(ref.version), "", "", "", "", "", reason)
            continue
        for place, variant in enumerate(manifest.variants):
            first = (ref.name, str(ref.version), manifest.task) if place == 0 else ("", "", "")
            table.add_row(*map(Text, (*first, *_cells(variant))))
    return table


def _list(found: list[tuple[ModelRef, Manifest | str]]) -> Group:
    """The same for narrow terminals, below each other."""
    lines: list[Text | Padding] = []
    for ref, manifest in found:
        named = f"{ref.name}, version {ref.version}"
        if isinstance(manifest, str):
            lines.append(Text(named, style="bold"))
            lines.append(_indented(2, Text(f"broken: {manifest}", style="red")))
            continue
        lines.append(Text(f"{named}, {manifest.task}", style="bold"))
        for variant in manifest.variants:
            precision, size, providers, test, quality = _cells(variant)
            said = f"{precision}, {size} MB, on {providers}, self-test: {test}"
            lines.append(_indented(2, Text(said)))
            if quality:
                lines.append(_indented(4, Text(quality)))
    return Group(*lines)


def _indented(columns: int, text: Text) -> Padding:
    return Padding(text, (0, 0, 0, columns), expand=False)


def _cells(variant: Variant) -> tuple[str, str, str, str, str]:
    size = sum(graph.bytes for graph in variant.graphs) / MEGABYTE
    quality = ", ".join(
        f"{found.metric} {found.value:.4g} ({found.dataset} {found.split})"
        for found in variant.evidence.accuracy
    )
    test = f"{variant.self_test.items} items" if variant.self_test else "none"
    return variant.precision, f"{size:.1f}", "/".join(variant.providers), test, quality

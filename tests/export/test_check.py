"""A published model goes through its gates again; what changed since shows as a failed row."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export import check as checking
from export.candidate import Candidate, OpenedVariant, answer_of, of_published, with_graphs
from export.check import Row, as_published, check, table
from export.console import Story
from export.datasets.errors import DatasetMissing
from export.gates import AccuracyGate, Answer, Floor, InvarianceGate, ParityGate, PiecesGate
from export.golden import with_self_test
from export.options import Options
from export.recipes.judging import Examination, Gates, Reexamination
from model_zoo.catalog import Catalog
from model_zoo.errors import FileMismatch
from model_zoo.manifest import DatasetSource, Evidence, Measurement
from tests import tiny_zoo
from tests.tiny_reader import READ, publish_reader

STORY = Story("test")
ITEMS = ["a good film", "bad", "neither good nor bad", "good good good"]


def figure(value: float) -> Measurement:
    return Measurement(dataset="d", split="test", metric="accuracy", value=value, items=4)


def source(name: str, digit: str) -> DatasetSource:
    return DatasetSource(
        name=name, split="test", licence="none", source="here", sha256=64 * digit, rows=4
    )


def published(
    root: Path,
    *,
    promised: float = 0.9,
    also: tuple[Measurement, ...] = (),
    sources: tuple[DatasetSource, ...] = (),
    evidence: Evidence | None = None,
) -> Candidate:
    zoo = tiny_zoo.build(root / "zoo")
    candidate = with_self_test(of_published(zoo.open(tiny_zoo.TEXTS)))
    made = candidate.manifest.provenance.model_copy(update={"datasets": sources})
    manifest = candidate.manifest.model_copy(update={"provenance": made})
    candidate = replace(candidate, manifest=manifest)
    candidate.evidence["fp32"] = evidence or Evidence(accuracy=(figure(promised), *also))
    candidate.publish(Catalog(root / "models"), {})
    return candidate


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> "Recipe":
    made = Recipe()
    monkeypatch.setattr(checking, "_ask_recipe", made)
    return made


class Recipe:
    """Stands for a recipe: the figures that it measures, and torch's answers where it has them."""

    def __init__(self) -> None:
        self.accuracy = 0.9
        self.knows_network = True
        self.offset = 0.0
        self.floor = 0.5
        self.sources: tuple[DatasetSource, ...] = ()

    def __call__(self, options: Options, manifest: Any, story: Story) -> Reexamination:
        opened = of_published(Catalog(options.models).open(manifest.name)).open("fp32")

        def torch_answers(features: Sequence[Any]) -> Sequence[Answer]:
            answers = [answer_of(row) for row in opened.rows(features)]
            return [replace(one, values=one.values + self.offset) for one in answers]

        def measure(of_variant: OpenedVariant) -> tuple[Measurement, ...]:
            return (figure(self.accuracy),)

        floor = Floor("d", "accuracy", at_least=self.floor, largest_loss=0.1)
        exam = Examination(ITEMS, torch_answers, measure, AccuracyGate((floor,)))
        gates: Any = {"fp32": Gates(ParityGate(1e-4, 1.0), InvarianceGate(1e-4, 1.0))}
        return Reexamination(exam, gates, self.sources, self.knows_network)


def rows(root: Path) -> dict[str, Row]:
    options = Options(models=root / "models", work=root / "work")
    found = check(options, tiny_zoo.TEXTS, None, Story("test"))
    return {row.gate: row for row in found}


def test_every_gate_of_a_sound_model_passes(tmp_path: Path, recipe: Recipe) -> None:
    published(tmp_path)
    found = rows(tmp_path)
    assert list(found) == [
        "files",
        "data",
        "golden",
        "parity",
        "invariance",
        "accuracy",
        "accuracy on d",
    ]
    assert {row.verdict for row in found.values()} == {"passed"}


def test_a_model_that_is_cut_is_asked_whether_its_pieces_fit(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog(tmp_path / "zoo")
    publish_reader(catalog)
    candidate = with_self_test(of_published(catalog.open(READ)))
    candidate = with_graphs(candidate, candidate.graphs)  # under the names that it publishes
    candidate.publish(Catalog(tmp_path / "models"), {})
    options = Options(models=tmp_path / "models", work=tmp_path / "work")

    def pieces() -> Row:
        return next(row for row in check(options, READ, None, STORY) if row.gate == "pieces")

    assert pieces().verdict == "passed"
    monkeypatch.setattr(PiecesGate.__init__, "__defaults__", (-1.0,))
    assert pieces().verdict == "failed"
    assert "reader and head against the whole graph" in pieces().found


def test_without_a_checkpoint_parity_is_not_run_and_says_why(
    tmp_path: Path, recipe: Recipe
) -> None:
    published(tmp_path)
    recipe.knows_network = False
    found = rows(tmp_path)
    assert (found["parity"].verdict, found["invariance"].verdict) == ("not run", "passed")
    assert found["parity"].found == "no checkpoint with a finished epoch of the training run here"


def test_a_network_of_other_weights_fails_parity_alone(tmp_path: Path, recipe: Recipe) -> None:
    published(tmp_path)
    recipe.offset = 0.01
    failed = [gate for gate, row in rows(tmp_path).items() if row.verdict == "failed"]
    assert failed == ["parity"]


def test_a_figure_below_the_promised_one_fails(tmp_path: Path, recipe: Recipe) -> None:
    published(tmp_path)
    recipe.accuracy = 0.897
    found = rows(tmp_path)
    assert (found["accuracy"].verdict, found["accuracy on d"].verdict) == ("passed", "failed")
    assert found["accuracy on d"].found == "0.897, promised 0.9"


def test_a_figure_that_differs_by_rounding_passes(tmp_path: Path, recipe: Recipe) -> None:
    published(tmp_path)
    recipe.accuracy = 0.899
    assert rows(tmp_path)["accuracy on d"].verdict == "passed"


def test_a_figure_below_its_floor_fails_whatever_was_promised(
    tmp_path: Path, recipe: Recipe
) -> None:
    published(tmp_path)
    recipe.floor = 0.95
    assert rows(tmp_path)["accuracy"].verdict == "failed"


def test_a_promised_figure_whose_data_are_not_here_is_not_run(
    tmp_path: Path, recipe: Recipe
) -> None:
    news = figure(12.5).model_copy(update={"dataset": "news", "metric": "bleu"})
    published(tmp_path, also=(news,))
    found = rows(tmp_path)["bleu on news"]
    assert (found.found, found.verdict) == ("promised 12.5, its data are not here", "not run")


KNOWN, NEWS, OTHER = source("known", "a"), source("news", "b"), source("known", "c")


@pytest.mark.parametrize(
    ("here", "verdict", "told"),
    [
        ((KNOWN, NEWS), "passed", "2 sources as promised"),
        ((KNOWN, NEWS, OTHER), "passed", "2 sources as promised"),
        ((KNOWN,), "not run", "1 of 2 sources are not here"),
        ((OTHER, NEWS), "failed", "other rows than it was published with"),
    ],
)
def test_absent_data_are_told_and_other_data_fail(
    tmp_path: Path,
    recipe: Recipe,
    here: tuple[DatasetSource, ...],
    verdict: str,
    told: str,
) -> None:
    published(tmp_path, sources=(KNOWN, NEWS))
    recipe.sources = here
    found = rows(tmp_path)["data"]
    assert (found.verdict, found.found) == (verdict, told)


def test_a_model_of_other_data_is_asked_what_any_item_can_tell_and_no_figure(
    tmp_path: Path, recipe: Recipe
) -> None:
    published(tmp_path, sources=(source("photos", "a"), source("photos", "b")))
    recipe.sources, recipe.accuracy = (KNOWN, NEWS), 0.1
    found = rows(tmp_path)
    told = "it was made from photos, not from what is here; --data names other data"
    assert found["data"] == Row("", "data", told, "not run")
    verdicts = {gate: row.verdict for gate, row in found.items()}
    assert verdicts.pop("data") == "not run"
    assert (verdicts.pop("accuracy"), verdicts.pop("accuracy on d")) == ("not run", "not run")
    assert list(verdicts) == ["files", "golden", "parity", "invariance"]
    assert set(verdicts.values()) == {"passed"}


def test_without_any_data_made_up_items_serve(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tmp_path, sources=(KNOWN,))
    recipe.sources = (source("templates", "d"),)

    def ask(options: Options, manifest: Any, story: Story) -> Reexamination:
        if not options.quick:
            raise DatasetMissing("nothing here")
        return recipe(options, manifest, story)

    monkeypatch.setattr(checking, "_ask_recipe", ask)
    found = rows(tmp_path)
    assert found["data"].found == "none here; `SLIPWAY_DATA` names their folder"
    assert found["invariance"].verdict == "passed"
    assert found["accuracy"] == Row("fp32", "accuracy", "no data to measure it", "not run")
    assert found["accuracy on d"].found == "promised 0.9, its data are not here"


def test_data_that_are_named_and_not_there_end_the_check(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tmp_path)

    def ask(options: Options, manifest: Any, story: Story) -> Reexamination:
        if not options.quick:
            raise DatasetMissing("nothing here")
        return recipe(options, manifest, story)

    monkeypatch.setattr(checking, "_ask_recipe", ask)
    options = Options(models=tmp_path / "models", work=tmp_path / "work", data=tmp_path / "none")
    with pytest.raises(DatasetMissing, match="nothing here"):
        check(options, tiny_zoo.TEXTS, None, Story("test"))


def test_where_nothing_was_promised_no_floor_is_asked_for(tmp_path: Path, recipe: Recipe) -> None:
    published(tmp_path, evidence=Evidence())
    recipe.accuracy = 0.1
    found = rows(tmp_path)
    assert found["accuracy"] == Row("fp32", "accuracy", "nothing was promised", "not run")
    assert found["accuracy on d"].found == "0.1, nothing promised"
    assert not [row for row in found.values() if row.verdict == "failed"]


def test_golden_answers_are_asked_for_again(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tmp_path)
    run = OpenedVariant.rows

    def shifted(opened: OpenedVariant, features: Sequence[Any], batch: int = 32) -> list[Any]:
        return [np.asarray(row) + 1 for row in run(opened, features, batch)]

    monkeypatch.setattr(OpenedVariant, "rows", shifted)
    assert rows(tmp_path)["golden"].verdict == "failed"


def test_a_changed_file_ends_the_check(tmp_path: Path, recipe: Recipe) -> None:
    published(tmp_path)
    (tmp_path / "models" / tiny_zoo.TEXTS / "1" / "golden.json").write_bytes(b"{}")
    with pytest.raises(FileMismatch, match=r"golden\.json"):
        rows(tmp_path)


def test_the_run_that_made_a_model_is_taken_from_its_manifest(tmp_path: Path) -> None:
    manifest = published(tmp_path).manifest
    made = manifest.provenance.model_copy(
        update={"command": "slipway-export all --quick --threads 1", "seed": 7}
    )
    manifest = manifest.model_copy(update={"provenance": made})
    found = as_published(Options(models=tmp_path, work=tmp_path, fresh=True), manifest)
    assert (found.quick, found.seed, found.fresh, found.epochs) == (True, 7, False, None)


def test_the_table_has_a_line_a_row() -> None:
    told = table([Row("", "files", "3", "passed"), Row("int8", "parity", "why", "not run")])
    assert told.splitlines() == ["      files   passed   3", "int8  parity  not run  why"]


def test_a_checkpoint_of_another_network_costs_parity_and_nothing_else(
    tmp_path: Path, recipe: "Recipe", monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tmp_path)
    kept = tmp_path / "work" / tiny_zoo.TEXTS
    kept.mkdir(parents=True)
    torch.save({"epoch": 3}, kept / "checkpoint.pt")
    asked: list[Options] = []

    def ask(options: Options, manifest: Any, story: Story) -> Reexamination:
        asked.append(options)
        recipe.knows_network = options.has_checkpoint(manifest.name)
        if recipe.knows_network:
            raise RuntimeError("size mismatch for lstm.weight")
        return recipe(options, manifest, story)

    monkeypatch.setattr(checking, "_ask_recipe", ask)
    verdicts = {gate: row.verdict for gate, row in rows(tmp_path).items()}
    assert verdicts.pop("parity") == "not run"
    assert set(verdicts.values()) == {"passed"}
    assert [options.work for options in asked] == [kept.parent, kept.parent / "none"]

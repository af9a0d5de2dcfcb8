"""`slipway-export all --quick` as a user types it: on the public data where it is at hand, else on
drawn data."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from export.datasets.generated import shapes
from model_zoo.catalog import Catalog
from model_zoo.manifest import Manifest, Precision
from service.tasks.base import TranslationText
from tests.export.serving import ask, serving

pytestmark = [pytest.mark.quick_export, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
NAMES = ("quick-image-classification", "quick-text-classification", "quick-translation")


@dataclass(frozen=True)
class Run:
    """One finished call of the command, and the folder that it published into."""

    models: Path
    work: Path
    code: int
    out: str
    err: str

    def manifest(self, name: str) -> Manifest:
        return Catalog(self.models).open(name).manifest


def export(folder: Path, *words: str, **environment: str) -> Run:
    models, work = folder / "models", folder / "work"
    # One thread: on a machine that has other work, several mostly wait for each other.
    places = ["--threads", "1", "--models", str(models), "--work", str(work)]
    done = subprocess.run(
        [sys.executable, "-m", "export.cli", *words, *places],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(models, work, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Once for all tests here."""
    found = export(tmp_path_factory.mktemp("quick"), "all", "--quick")
    assert found.code == 0, found.err
    return found


def drawn_images(count: int) -> Sequence[bytes]:
    files = []
    for image in shapes(count).images:
        file = BytesIO()
        Image.fromarray(image).save(file, "PNG")
        files.append(file.getvalue())
    return files


def test_all_three_models_are_published_and_their_folders_printed(run: Run) -> None:
    assert run.out.splitlines() == [str(run.models / name / "1") for name in NAMES]
    assert [ref.name for ref in Catalog(run.models).list()] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_as_the_manifest_promises(run: Run, name: str) -> None:
    published = Catalog(run.models).open(name)
    published.verify()
    on_disk = {path.name for path in published.folder.iterdir()}
    assert on_disk == {*published.manifest.artefacts(), "manifest.json"}
    assert {"config.json", "README.md", "curves.png"} <= on_disk


@pytest.mark.parametrize("name", NAMES)
def test_both_variants_carry_the_evidence_of_every_gate(run: Run, name: str) -> None:
    variants = run.manifest(name).variants
    assert {variant.precision for variant in variants} == {"fp32", "int8"}
    for variant in variants:
        evidence = variant.evidence
        assert evidence.parity is not None
        assert evidence.invariance is not None
        assert evidence.parity.max_abs_diff <= evidence.parity.tolerance
        assert evidence.invariance.agreement == 1.0
        assert all(figure.items >= 50 for figure in evidence.accuracy)
        assert evidence.accuracy


def test_an_lstm_in_bytes_is_published_with_a_reader_and_a_head(run: Run) -> None:
    variants = run.manifest("quick-text-classification").variants
    roles = {variant.precision: {graph.role for graph in variant.graphs} for variant in variants}
    assert roles == {"fp32": {"model"}, "int8": {"model", "reader", "head"}}


def test_the_classifiers_learnt_more_than_to_guess(run: Run) -> None:
    for name in NAMES[:2]:
        manifest = run.manifest(name)
        for variant in manifest.variants:
            for figure in variant.evidence.accuracy:
                assert figure.value > 1.05 / len(manifest.labels), (name, figure)


@pytest.mark.parametrize("name", NAMES)
def test_its_origin_is_told_without_a_path_of_this_machine(run: Run, name: str) -> None:
    made = run.manifest(name).provenance
    assert made.datasets
    assert all(source.rows > 0 for source in made.datasets)
    assert made.command == "slipway-export all --quick --threads 1"
    assert made.training_seconds > 0
    for told in (made.model_dump_json(), Catalog(run.models).open(name).read("README.md").decode()):
        assert str(ROOT) not in told
        assert str(run.models) not in told


@pytest.mark.parametrize("name", NAMES)
def test_the_story_of_each_model_is_told_as_it_happens(run: Run, name: str) -> None:
    lines = [line for line in run.err.splitlines() if f"{name}: " in line]
    order = ("training on", "converting", "fp32: parity", "int8: invariance", "published as")
    places = [next(i for i, line in enumerate(lines) if words in line) for words in order]
    assert places == sorted(places)


@pytest.mark.parametrize("name", NAMES)
def test_the_log_of_training_has_a_line_an_epoch(run: Run, name: str) -> None:
    rows = [json.loads(line) for line in (run.work / name / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_pictures_get_a_label(run: Run, precision: Precision) -> None:
    with serving(run.models, NAMES[0], precision=precision) as live:
        for found in ask(live, drawn_images(5)):
            assert found.label in live.manifest.labels
            assert sum(found.probabilities) == pytest.approx(1, abs=1e-5)
            assert found.score == pytest.approx(max(found.probabilities), abs=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_opinions_get_a_tone(run: Run, precision: Precision) -> None:
    texts = ["Wonderful, superb, the best film of all.", "bad " * 2000]
    with serving(run.models, NAMES[1], precision=precision) as live:
        short, long = ask(live, texts)
    assert (short.truncated, long.truncated) == (False, True)
    for found in (short, long):
        assert set(found.scores) == {"negative", "positive"}
        assert sum(found.scores.values()) == pytest.approx(1, abs=1e-5)
        assert found.scores[found.label] == found.score


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_sentences_get_a_translation(run: Run, precision: Precision) -> None:
    with serving(run.models, NAMES[2], precision=precision) as live:
        texts = ["A man rides a bicycle.\nThe dog sees a red house.", "  "]
        found, empty = ask(live, [TranslationText(text) for text in texts])
    assert (found.source, found.target) == ("en", "de")
    first, second = found.text.splitlines()
    assert first
    assert second
    assert found.score < 0
    assert empty.text == "  "


def test_the_same_command_again_goes_on_where_it_was_and_publishes_the_next_version(
    run: Run,
) -> None:
    again = export(run.models.parent, "text-classification", "--quick")
    assert again.code == 0, again.err
    assert "epoch" not in again.err
    assert again.out == f"{run.models / NAMES[1] / '2'}\n"
    first, second = (Catalog(run.models).open(NAMES[1], version) for version in (1, 2))
    assert first.read("model_int8.onnx") == second.read("model_int8.onnx")


def test_without_the_public_data_a_trial_makes_up_its_own(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    found = export(tmp_path, "text-classification", "--quick", SLIPWAY_DATA=str(empty))
    assert found.code == 0, found.err
    assert "making up opinions" in found.err
    manifest = found.manifest(NAMES[1])
    assert {source.name for source in manifest.provenance.datasets} == {"template opinions"}
    with serving(found.models, NAMES[1]) as live:
        good, bad = ask(live, ["A wonderful, superb film.", "A boring, awful film."])
    assert (good.label, bad.label) == ("positive", "negative")

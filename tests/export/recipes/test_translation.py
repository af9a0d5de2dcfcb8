"""What is judged of a translator, and that judging it again trains nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from export.candidate import of_published
from export.console import Story
from export.datasets.generated import sentence_pairs
from export.datasets.rows import SentencePairs
from export.options import Options
from export.recipes import translation
from export.recipes.judging import Reexamination
from export.recipes.translation_data import TranslationData
from export.recipes.translation_network import begin, settings
from export.recipes.translation_training import EncodedPairs, encode_pairs, train_translation
from export.tokens import kept_tokenizer, train_translation_tokenizer
from export.training import NothingLearnt
from tests import tiny_zoo
from tests.export.tiny_networks import SPEC

NAME = "tiny"
VOCABULARY = 320
PAIRS = sentence_pairs(80)


def rows(start: int, end: int) -> SentencePairs:
    return PAIRS.take(range(start, end))


DATA = TranslationData(
    train=rows(0, 40),
    validation=rows(40, 50),
    test=(("known", "test", rows(50, 60)),),
    for_vocabulary=[*PAIRS.sources, *PAIRS.targets],
    is_public=False,
    closing=((rows(60, 80),), (rows(60, 80),)),
    reported=(("news", "test", rows(0, 5)),),
)


def train(options: Options) -> None:
    """As the recipe does: one usual epoch, then the closing ones."""
    folder = options.folder(NAME)
    tokenizer = kept_tokenizer(
        folder, lambda: train_translation_tokenizer(DATA.for_vocabulary, VOCABULARY)
    )
    known, held = (encode_pairs(tokenizer, pairs, 60) for pairs in (DATA.train, DATA.validation))
    closing = [[encode_pairs(tokenizer, pairs, 60) for pairs in round_] for round_ in DATA.closing]
    network = begin(options, None, tokenizer.get_vocab_size())
    train_translation(network, known, held, settings(options, len(known)), folder, closing)


def epochs_done(options: Options) -> int:
    state = torch.load(options.folder(NAME) / "checkpoint.pt", weights_only=True)
    return int(state["epoch"])


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    monkeypatch.setattr(translation, "load", lambda *_: DATA)
    return Options(tmp_path / "models", tmp_path / "work", quick=True, epochs=1)


def again(options: Options) -> Reexamination:
    return translation.reexamine(options, NAME, SPEC, Story("test"))


def test_a_finished_run_is_judged_by_its_network_and_trained_no_further(options: Options) -> None:
    train(options)
    assert epochs_done(options) == 1 + len(DATA.closing)
    found = again(replace(options, epochs=3))
    assert found.knows_network
    assert epochs_done(options) == 3


def contents(options: Options) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in options.folder(NAME).iterdir()}


@pytest.mark.parametrize("epochs", [1, 9])
def test_judging_again_writes_nothing_however_many_epochs_were_asked_for(
    options: Options, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    train(options)
    monkeypatch.setattr(translation, "QUICK_VOCABULARY", VOCABULARY)
    (options.folder(NAME) / "tokenizer.json").unlink()  # which would be learnt anew
    before = contents(options)
    again(replace(options, epochs=epochs))
    assert contents(options) == before


def test_a_run_that_stopped_in_its_first_epoch_is_not_trained_to_be_judged(
    options: Options,
) -> None:
    train(options)
    file = options.folder(NAME) / "checkpoint.pt"
    state = torch.load(file, weights_only=True)
    torch.save({**state, "epoch": 0, "step": 1, "best": None, "best_score": None}, file)
    before = contents(options)
    with pytest.raises(NothingLearnt):
        again(options)
    assert contents(options) == before


@pytest.mark.parametrize(("asked_for", "known", "rows"), [(None, 320, 384), (390, 390, 512)])
def test_who_begins_with_another_has_its_vocabulary_unless_told_otherwise(
    options: Options, asked_for: int | None, known: int, rows: int
) -> None:
    train(options)
    origin = str(options.folder(NAME) / "checkpoint.pt")
    later = replace(options, origin=origin, vocabulary=asked_for)
    network, tokenizer, *_ = translation._train(later, "later", DATA, Story("test"))
    assert tokenizer.get_vocab_size() == known
    assert network.config.vocabulary == len(network.embedding.weight) == rows


def test_pairs_that_return_in_later_epochs_are_encoded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[SentencePairs, int]] = []

    def encode(tokenizer: Tokenizer, pairs: SentencePairs, longest: int) -> EncodedPairs:
        asked.append((pairs, longest))
        return encode_pairs(tokenizer, pairs, longest)

    monkeypatch.setattr(translation, "encode_pairs", encode)
    tokenizer = train_translation_tokenizer(DATA.for_vocabulary, 320)
    some, more, equal = rows(0, 3), rows(3, 8), rows(0, 3)
    found = translation._encoded(tokenizer, [[some, more], [equal], [more, some, more]], 60)
    assert asked == [(some, 60), (more, 60), (equal, 60)]
    assert [[len(pairs) for pairs in round_] for round_ in found] == [[3, 5], [3], [5, 3, 5]]
    (first, second), _, (third, fourth, fifth) = found
    assert third is fifth is second
    assert fourth is first


def test_what_is_merely_reported_has_no_floor(options: Options) -> None:
    found = again(options)
    assert not found.knows_network
    assert [floor.dataset for floor in found.exam.accuracy.floors] == ["known"]
    assert found.sources == DATA.sources


def test_what_is_reported_is_measured_with_the_rest(options: Options, tmp_path: Path) -> None:
    zoo = tiny_zoo.build(tmp_path / "zoo")
    opened = of_published(zoo.open(tiny_zoo.TRANSLATOR)).open("fp32")
    found = again(options).exam.measure(opened)
    assert {(one.dataset, one.metric, one.items) for one in found} == {
        ("known", "bleu", 10),
        ("known", "chrf", 10),
        ("news", "bleu", 5),
        ("news", "chrf", 5),
    }

"""Sentences for the translation recipe: public pairs, the user's files, or template sentences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.console import Story
from export.datasets.errors import DatasetMissing
from export.datasets.generated import sentence_pairs
from export.datasets.pair_files import load_sentence_pairs
from export.datasets.rows import SentencePairs
from export.datasets.sources import data_root
from export.datasets.splits import carve_pairs
from export.datasets.translation import (
    Splits,
    load_chat,
    load_multi30k,
    load_tatoeba,
    load_wmt_news,
)
from export.datasets.user_data import describe, require_parts
from export.options import Options
from model_zoo.manifest import DatasetSource

QUICK_TRAIN, QUICK_TEST, SPLIT_SEED = 900, 100, 0
CAPTION_COPIES = 2  # captions are few and long: seen twice as often as everyday sentences
CLOSING_EPOCHS, CLOSING_COPIES = 3, 4  # at the end eight times as often, with half of the others
LAST_EPOCHS = 3  # everyday sentences are learnt from longest
VALIDATION_PAIRS = 1000

Named = tuple[tuple[str, str, SentencePairs], ...]
REPORTED: tuple[tuple[str, str, Callable[[Path | None, str, str], Splits]], ...] = (
    ("WMT news", "newstest2014", load_wmt_news),
    ("BConTrasT chat", "dev", load_chat),
)


@dataclass(frozen=True)
class TranslationData:
    """Training pairs, validation pairs, test splits by (data set, split), vocabulary texts.

    closing: rounds of epochs that follow the usual ones, and the pairs of each epoch.
    reported: more splits of another kind, measured and told but held to nothing.
    """

    train: SentencePairs
    validation: SentencePairs
    test: Named
    for_vocabulary: Sequence[str]
    is_public: bool
    closing: tuple[tuple[SentencePairs, ...], ...] = ()
    reported: Named = ()

    @property
    def measured(self) -> Named:
        """All splits that get figures, those that decide first."""
        return (*self.test, *self.reported)

    @property
    def deciding_sources(self) -> tuple[DatasetSource, ...]:
        """Of all that a run hangs on; what is merely reported may come and go."""
        return _sources(self.train, self.validation, *(rows for _, _, rows in self.test))

    @property
    def sources(self) -> tuple[DatasetSource, ...]:
        return _sources(self.train, self.validation, *(rows for _, _, rows in self.measured))


def _sources(*parts: SentencePairs) -> tuple[DatasetSource, ...]:
    return tuple(dict.fromkeys(source for part in parts for source in part.source))


def is_own(options: Options) -> bool:
    """Whether the options name pairs of the user's own."""
    return options.data is not None and (options.data.is_file() or options.targets is not None)


def load(options: Options, story: Story) -> TranslationData:
    """The data that the options ask for; raises DatasetError with what to do."""
    if options.data is not None and is_own(options):
        user = load_sentence_pairs(options.data, options.targets, names=options.languages)
        if user.problems:
            story.say(f"{len(user.problems)} rows were left out:\n{describe(user.problems)}")
        return _carved(options.data.stem, user.rows)
    try:
        return _public(options)
    except DatasetMissing:
        if not options.quick or options.data is not None:
            raise  # who names data wants no other
        story.say("no sentence pairs here: making up sentences for the trial")
        return _carved("templates", sentence_pairs(QUICK_TRAIN + QUICK_TEST))


def _public(options: Options) -> TranslationData:
    root, (source, target) = options.data or data_root(), options.languages
    everyday, captions = (
        load_tatoeba(root, source, target),
        load_multi30k(root, source, target),
    )
    if options.quick:
        return _quick(captions)
    train = SentencePairs.joined([everyday["train"], *[captions["train"]] * CAPTION_COPIES])
    validation = SentencePairs.joined(
        [everyday["dev"].take(range(VALIDATION_PAIRS)), captions["val"]]
    )
    test = [("Multi30k", "test_2016_flickr", captions["test_2016_flickr"])]
    if "test" in everyday:
        test.append(("Tatoeba", "test", everyday["test"]))
    texts = [
        text
        for pairs in (everyday["train"], captions["train"])
        for side in (pairs.sources, pairs.targets)
        for text in side
    ]
    return TranslationData(
        train,
        validation,
        tuple(test),
        texts,
        is_public=True,
        # Who begins with what a translator learnt goes on with all of it alike.
        closing=() if options.origin else _closing(everyday["train"], captions["train"]),
        reported=_reported(root, source, target),
    )


def _reported(root: Path | None, source: str, target: str) -> Named:
    """News and chat, as far as they are here."""
    found = []
    for dataset, split, read in REPORTED:
        try:
            splits = read(root, source, target)
        except DatasetMissing:
            continue
        if split in splits:
            found.append((dataset, split, splits[split]))
    return tuple(found)


def _closing(
    everyday: SentencePairs, captions: SentencePairs
) -> tuple[tuple[SentencePairs, ...], ...]:
    """First mostly captions, and one half of the other pairs in turn; then all of both alike."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(everyday))
    halves = [everyday.take(half) for half in np.array_split(order, 2)]
    mostly_captions = tuple(
        SentencePairs.joined([halves[epoch % 2], *[captions] * CLOSING_COPIES])
        for epoch in range(CLOSING_EPOCHS)
    )
    return mostly_captions, (SentencePairs.joined([everyday, captions]),) * LAST_EPOCHS


def _quick(captions: dict[str, SentencePairs]) -> TranslationData:
    """A few hundred real rows."""
    train = _few(captions["train"], QUICK_TRAIN)
    return TranslationData(
        train,
        _few(captions["val"], QUICK_TEST),
        (("Multi30k", "test_2016_flickr", _few(captions["test_2016_flickr"], QUICK_TEST)),),
        [*train.sources, *train.targets],
        is_public=False,
    )


def _few(rows: SentencePairs, count: int) -> SentencePairs:
    return rows.take(np.random.default_rng(SPLIT_SEED).permutation(len(rows))[:count])


def _carved(name: str, rows: SentencePairs) -> TranslationData:
    size = min(2000, len(rows) // 10)
    parts = carve_pairs(rows, {"validation": size, "test": size}, SPLIT_SEED)
    require_parts(name, **{part: len(pairs) for part, pairs in parts.items()})
    train = parts["train"]
    return TranslationData(
        train,
        parts["validation"],
        ((name, "test", parts["test"]),),
        [*train.sources, *train.targets],
        is_public=False,
    )

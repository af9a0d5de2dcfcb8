"""Texts for the sentiment recipe: IMDB with SST-2, the user's file, or template sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.console import Story
from export.datasets.errors import DatasetMissing
from export.datasets.generated import opinions
from export.datasets.labelled_files import load_labelled_texts
from export.datasets.rows import LabelledTexts
from export.datasets.sentiment import load_imdb, load_sst2
from export.datasets.sources import data_root
from export.datasets.splits import stratified
from export.datasets.user_data import describe, require_parts
from export.options import Options
from model_zoo.manifest import DatasetSource

VALIDATION_SHARE, SPLIT_SEED = 0.1, 0
QUICK_TRAIN, QUICK_TEST = 900, 200

Named = tuple[tuple[str, LabelledTexts], ...]


@dataclass(frozen=True)
class SentimentData:
    """Training texts, validation and test by data set, and what the vocabulary is learnt from."""

    train: LabelledTexts
    validation: Named
    test: Named
    for_vocabulary: Sequence[str]
    is_public: bool

    @property
    def sources(self) -> tuple[DatasetSource, ...]:
        parts = (self.train, *(rows for _, rows in (*self.validation, *self.test)))
        return tuple(dict.fromkeys(source for part in parts for source in part.source))


def is_own(options: Options) -> bool:
    """Whether the options name a file of the user's own."""
    return options.data is not None and options.data.is_file()


def load(options: Options, story: Story) -> SentimentData:
    """The data that the options ask for; raises DatasetError with what to do."""
    if options.data is not None and is_own(options):
        user = load_labelled_texts(options.data)
        if user.problems:
            story.say(f"{len(user.problems)} rows were left out:\n{describe(user.problems)}")
        return _carved(options.data.stem, user.rows)
    try:
        return _public(options)
    except DatasetMissing:
        if not options.quick or options.data is not None:
            raise  # who names data wants no other
        story.say("no reviews here: making up opinions for the trial")
        return _carved("opinions", opinions(QUICK_TRAIN + QUICK_TEST))


def _public(options: Options) -> SentimentData:
    root = options.data or data_root()
    imdb, sst2 = load_imdb(root), load_sst2(root)
    split = stratified(imdb.train.labels, validation=VALIDATION_SHARE, seed=SPLIT_SEED)
    # A few reviews stand in both halves of the original: what is tested is not trained on.
    tested = set(imdb.test.texts)
    reviews = imdb.train.take([i for i in split.train if imdb.train.texts[i] not in tested])
    validation = (("imdb", imdb.train.take(split.validation)), ("sst2", sst2.dev))
    test: Named = (("IMDB", imdb.test),)
    if sst2.test is not None:
        test = (*test, ("SST-2", sst2.test))
    if options.quick:
        return _quick(reviews, sst2.train, validation, test)
    train = LabelledTexts.joined([reviews, sst2.fullest_train])
    return SentimentData(train, validation, test, [*reviews.texts, *sst2.train.texts], True)


def _quick(
    reviews: LabelledTexts, sentences: LabelledTexts, validation: Named, test: Named
) -> SentimentData:
    """A few hundred real rows, long and short ones."""
    train = LabelledTexts.joined([_few(reviews, QUICK_TRAIN), _few(sentences, QUICK_TRAIN)])
    return SentimentData(
        train,
        tuple((name, _few(rows, QUICK_TEST)) for name, rows in validation),
        tuple((name, _few(rows, QUICK_TEST)) for name, rows in test),
        train.texts,
        is_public=False,
    )


def _few(rows: LabelledTexts, count: int) -> LabelledTexts:
    return rows.take(np.random.default_rng(SPLIT_SEED).permutation(len(rows))[:count])


def _carved(name: str, rows: LabelledTexts) -> SentimentData:
    split = stratified(rows.labels, validation=0.1, test=0.15, seed=SPLIT_SEED)
    require_parts(name, validation=len(split.validation), test=len(split.test))
    train = rows.take(split.train)
    return SentimentData(
        train,
        ((name, rows.take(split.validation)),),
        ((name, rows.take(split.test)),),
        train.texts,
        is_public=False,
    )

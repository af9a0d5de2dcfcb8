import re

import numpy as np

from export.datasets import generated
from export.datasets.drawings import SHAPES
from export.datasets.templates import NOMINATIVE, NOUNS


def test_the_same_seed_draws_the_same_and_another_another() -> None:
    first, again, other = (generated.shapes(20, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.images, again.images)
    assert first.source == again.source
    assert not np.array_equal(first.images, other.images)
    assert generated.opinions(20, 1).texts == generated.opinions(20, 1).texts
    assert generated.opinions(20, 1).texts != generated.opinions(20, 2).texts
    assert generated.sentence_pairs(20, 1) == generated.sentence_pairs(20, 1)


def test_classes_are_balanced_and_shuffled() -> None:
    labels = generated.shapes(100).labels
    assert np.bincount(labels).tolist() == [10] * len(SHAPES)
    assert labels.tolist() != sorted(labels.tolist())
    assert np.bincount(generated.opinions(31).labels).tolist() == [16, 15]


def test_shapes_can_be_told_apart_by_a_linear_rule() -> None:
    train, test = generated.shapes(400, 1), generated.shapes(200, 2)

    def features(images: np.ndarray) -> np.ndarray:
        colours = (images // 64).astype(np.int64) @ [16, 4, 1]
        counts = [np.bincount(colour.ravel(), minlength=64) for colour in colours]
        return np.hstack([np.array(counts) / 1024, np.ones((len(images), 1))])

    targets = np.eye(len(SHAPES))[train.labels]
    x = features(train.images)
    weights = np.linalg.solve(x.T @ x + 0.01 * np.eye(x.shape[1]), x.T @ targets)
    answers = (features(test.images) @ weights).argmax(axis=1)
    assert (answers == test.labels).mean() > 0.5


def test_opinions_of_both_kinds_share_no_judgement() -> None:
    data = generated.opinions(400)
    words = [
        {
            word
            for text, label in zip(data.texts, data.labels, strict=True)
            if label == kind
            for word in text.split()
        }
        for kind in (0, 1)
    ]
    assert {"boring.", "awful."} <= words[0] - words[1]
    assert {"wonderful.", "superb."} <= words[1] - words[0]


def test_german_articles_and_endings_agree_with_the_noun() -> None:
    nouns = {noun.german: noun.gender for noun in NOUNS}
    accusative = re.compile(r"\w+ (?:sieht|findet|zeichnet|kauft) (\w+) \w+?(en|e) (\w+)\.")
    nominative = re.compile(r"(?:Ist )?([Dd]er|[Dd]ie|[Dd]as) (?:[a-zäöüß]+e )?([A-Z]\w+) .*")
    expected = {"m": ("den", "en"), "f": ("die", "e"), "n": ("das", "e")}
    for sentence in generated.sentence_pairs(500).targets:
        if found := accusative.fullmatch(sentence):
            assert found.group(1, 2) == expected[nouns[found.group(3)]], sentence
        else:
            found = nominative.fullmatch(sentence)
            assert found is not None, sentence
            assert found.group(1).lower() == NOMINATIVE[nouns[found.group(2)]], sentence


def test_equal_sentences_have_equal_translations() -> None:
    pairs = generated.sentence_pairs(2000)
    both = set(zip(pairs.sources, pairs.targets, strict=True))
    assert len(both) == len(set(pairs.sources))

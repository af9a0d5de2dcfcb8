from pathlib import Path

import numpy as np
import pytest

from export.datasets.rows import LabelledImages, LabelledTexts, SentencePairs


def test_rows_are_taken_in_the_order_asked_for() -> None:
    texts = LabelledTexts(["a", "b", "c"], np.array([0, 1, 0]), ("no", "yes")).take([2, 1])
    assert (list(texts.texts), texts.labels.tolist(), texts.names) == (
        ["c", "b"],
        [0, 1],
        ("no", "yes"),
    )
    pairs = SentencePairs(["a", "b"], ["A", "B"], ("en", "de")).take(np.array([1]))
    assert (list(pairs.sources), list(pairs.targets)) == (["b"], ["B"])
    blank = np.zeros((2, 1, 1, 3), dtype=np.uint8)
    images = LabelledImages(blank, np.array([0, 1]), ("x", "y"), files=(Path("p"), Path("q")))
    assert images.take([1]).files == (Path("q"),)


def test_lists_are_joined_with_their_origins() -> None:
    one = LabelledTexts(["a"], np.array([0]), ("no", "yes"))
    both = LabelledTexts.joined([one, LabelledTexts(["b"], np.array([1]), ("no", "yes"))])
    assert (both.texts, both.labels.tolist()) == (["a", "b"], [0, 1])
    pairs = SentencePairs(["a"], ["A"], ("en", "de"))
    assert len(SentencePairs.joined([pairs, pairs])) == 2


def test_lists_of_different_meaning_are_not_joined() -> None:
    one = LabelledTexts(["a"], np.array([0]), ("no", "yes"))
    with pytest.raises(ValueError, match="same names"):
        LabelledTexts.joined([one, LabelledTexts(["b"], np.array([1]), ("x", "y"))])
    pairs = SentencePairs(["a"], ["A"], ("en", "de"))
    with pytest.raises(ValueError, match="same languages"):
        SentencePairs.joined([pairs, SentencePairs(["a"], ["A"], ("en", "fr"))])


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 texts, 2 labels"):
        LabelledTexts(["a"], np.array([0, 1]), ("no", "yes"))
    with pytest.raises(ValueError, match="1 sources, 0 targets"):
        SentencePairs(["a"], [], ("en", "de"))
    with pytest.raises(ValueError, match="2 images, 1 labels"):
        LabelledImages(np.zeros((2, 1, 1, 3), dtype=np.uint8), np.array([0]), ("x", "y"))

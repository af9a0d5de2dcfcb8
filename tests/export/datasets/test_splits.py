import numpy as np
import pytest

from export.datasets.rows import SentencePairs
from export.datasets.splits import carve_pairs, stratified


def test_every_class_gives_its_share() -> None:
    labels = np.repeat([0, 1], [100, 300])
    split = stratified(labels, validation=0.1, test=0.2, seed=5)
    assert np.bincount(labels[split.validation]).tolist() == [10, 30]
    assert np.bincount(labels[split.test]).tolist() == [20, 60]
    assert np.bincount(labels[split.train]).tolist() == [70, 210]


def test_the_parts_are_all_rows_and_share_none() -> None:
    labels = np.random.default_rng(0).integers(0, 7, 500)
    split = stratified(labels, validation=0.15, test=0.15, seed=1)
    together = np.concatenate([split.train, split.validation, split.test])
    assert sorted(together.tolist()) == list(range(500))


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    labels = np.arange(200) % 4
    first, again, other = (stratified(labels, validation=0.2, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.validation, again.validation)
    np.testing.assert_array_equal(first.train, again.train)
    assert set(first.validation.tolist()) != set(other.validation.tolist())


def test_parts_are_shuffled() -> None:
    split = stratified(np.repeat([0, 1], 50), validation=0.2)
    assert split.train.tolist() != sorted(split.train.tolist())


@pytest.mark.parametrize(
    ("rows", "expected"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))]
)
def test_small_classes_keep_a_row_for_training_first(
    rows: int, expected: tuple[int, int, int]
) -> None:
    split = stratified(np.zeros(rows, dtype=np.int64), validation=0.1, test=0.1)
    assert (len(split.train), len(split.validation), len(split.test)) == expected


def test_without_shares_all_rows_are_for_training() -> None:
    split = stratified(np.arange(10) % 2, validation=0.0)
    assert (len(split.train), len(split.validation), len(split.test)) == (10, 0, 0)


def pairs_with_repeats() -> SentencePairs:
    sources = [f"s{i // 3}" for i in range(300)]
    targets = [f"t{i % 150}" for i in range(300)]
    return SentencePairs(sources, targets, ("en", "de"))


def test_carved_pairs_share_no_sentence_with_training() -> None:
    splits = carve_pairs(pairs_with_repeats(), {"dev": 10, "test": 12}, seed=2)
    held_out = [splits["dev"], splits["test"]]
    assert [len(part) for part in held_out] == [12, 12]
    for part in held_out:
        assert not set(part.sources) & set(splits["train"].sources)
        assert not set(part.targets) & set(splits["train"].targets)
    assert not set(splits["dev"].sources) & set(splits["test"].sources)
    assert len(splits["train"]) >= 300 - 2 * 24


def test_case_does_not_make_a_sentence_another_one() -> None:
    pairs = SentencePairs(["Hi", "hi"] * 20 + ["x"] * 20, [str(i) for i in range(60)], ("en", "de"))
    splits = carve_pairs(pairs, {"dev": 5}, seed=0)
    train, dev = ({s.lower() for s in splits[name].sources} for name in ("train", "dev"))
    assert not train & dev


def test_no_carved_split_takes_more_than_about_a_tenth() -> None:
    pairs = SentencePairs(
        [str(i) for i in range(50)], ["x" + str(i) for i in range(50)], ("a", "b")
    )
    splits = carve_pairs(pairs, {"dev": 2000, "test": 2000})
    assert {name: len(part) for name, part in splits.items()} == {"train": 40, "dev": 5, "test": 5}

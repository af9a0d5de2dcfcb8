"""The lexicon of word translations: what pairs of sentences say about single tokens."""

import numpy as np
import pytest

from export.shortlist import LIKELY, learn_lexicon, lexical_probabilities

VOCABULARY = 12
# 1 and 2 always stand together; that 1 means 5 and 2 means 6 only the other pairs tell
SOURCES = [np.array(ids) for ids in ([1, 2], [2, 3], [1], [3, 1])]
TARGETS = [np.array(ids) for ids in ([5, 6], [7, 6], [5], [5, 7])]

Table = dict[tuple[int, int], float]


def probabilities(rounds: int = 5, pairs: int = 4) -> Table:
    """By (source, target)."""
    kinds, chances = lexical_probabilities(SOURCES[:pairs], TARGETS[:pairs], VOCABULARY, rounds)
    cells = zip(*np.divmod(kinds, VOCABULARY), chances, strict=True)
    return {(int(source), int(target)): float(chance) for source, target, chance in cells}


def test_tokens_find_their_translations_from_whole_sentences() -> None:
    found = probabilities(rounds=20)
    assert all(found[cell] > 0.9 for cell in ((1, 5), (2, 6), (3, 7)))


def test_chances_of_a_seen_token_add_up_and_an_unseen_one_has_none() -> None:
    found = probabilities()
    sums = {source: sum(v for (s, _), v in found.items() if s == source) for source, _ in found}
    assert sums == pytest.approx({1: 1.0, 2: 1.0, 3: 1.0})


def test_one_round_is_counting_by_hand() -> None:
    # each target token is owed to both source tokens of its sentence, half to each
    expected = {(1, 5): 0.5, (1, 6): 0.5, (2, 5): 0.25, (2, 6): 0.5, (2, 7): 0.25}
    found = probabilities(rounds=1, pairs=2)
    assert {cell: found[cell] for cell in expected} == pytest.approx(expected)


def test_many_links_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = probabilities()
    monkeypatch.setattr("export.shortlist.LINKS_AT_ONCE", 3)
    assert probabilities() == pytest.approx(whole, rel=1e-5)


def test_common_tokens_are_the_asked_for_and_the_most_frequent() -> None:
    found = learn_lexicon(SOURCES, TARGETS, VOCABULARY, [2], 2)
    assert found.common.tolist() == [2, 5]
    # the others go on by frequency, of equal ones the earlier first
    assert found.others.tolist() == [6, 7, 0, 1, 3, 4, 8, 9, 10, 11]


def test_a_source_token_has_its_likeliest_targets_first_and_no_common_one() -> None:
    found = learn_lexicon(SOURCES, TARGETS, VOCABULARY, [2], 2)
    assert found.targets[[2, 3], 0].tolist() == [6, 7]
    assert found.targets.shape == found.chances.shape == (VOCABULARY, LIKELY)
    assert (np.diff(found.chances, axis=1) <= 0).all()
    assert not np.isin(found.targets, [2, 5]).any()
    padding_too = learn_lexicon(SOURCES, TARGETS, VOCABULARY, [0], 2)
    assert not np.isin(padding_too.targets, [0]).any()
    expected = probabilities()
    assert found.chances[2, :2].tolist() == pytest.approx([expected[2, 6], expected[2, 7]])
    assert not found.chances[[0, 4, 11]].any()


def test_of_many_targets_the_likeliest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.shortlist.LIKELY", 1)
    found = learn_lexicon(SOURCES, TARGETS, VOCABULARY, [2], 1)
    assert found.targets[[1, 2, 3]].tolist() == [[5], [6], [7]]

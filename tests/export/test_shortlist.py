"""The lexicon of word translations: what pairs of sentences say about single tokens."""

import numpy as np
import pytest

from export.shortlist import learn_lexicon, lexical_probabilities

VOCABULARY = 12
# 1 and 2 always stand together; that 1 means 5 and 2 means 6 only the other pairs tell
SOURCES = [np.array(ids) for ids in ([1, 2], [2, 3], [1], [3, 1])]
TARGETS = [np.array(ids) for ids in ([5, 6], [7, 6], [5], [5, 7])]


def test_tokens_find_their_translations_from_whole_sentences() -> None:
    found = lexical_probabilities(SOURCES, TARGETS, VOCABULARY, rounds=20)
    assert found[[1, 2, 3]].argmax(axis=1).tolist() == [5, 6, 7]
    assert (found[[1, 2, 3]].max(axis=1) > 0.9).all()


def test_chances_of_a_seen_token_add_up_and_an_unseen_one_has_none() -> None:
    found = lexical_probabilities(SOURCES, TARGETS, VOCABULARY)
    np.testing.assert_allclose(found[[1, 2, 3]].sum(axis=1), 1, rtol=1e-5)
    assert not found[[0, 4, 5, 11]].any()


def test_one_round_is_counting_by_hand() -> None:
    found = lexical_probabilities(SOURCES[:2], TARGETS[:2], VOCABULARY, rounds=1)
    # each target token is owed to both source tokens of its sentence, half to each
    expected = {(1, 5): 0.5, (1, 6): 0.5, (2, 5): 0.25, (2, 6): 0.5, (2, 7): 0.25}
    assert {cell: found[cell] for cell in expected} == pytest.approx(expected)


def test_many_links_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lexical_probabilities(SOURCES, TARGETS, VOCABULARY)
    monkeypatch.setattr("export.shortlist.LINKS_AT_ONCE", 3)
    parts = lexical_probabilities(SOURCES, TARGETS, VOCABULARY)
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def test_a_lexicon_has_the_likeliest_first_and_each_tokens_share() -> None:
    found = learn_lexicon(SOURCES, TARGETS, VOCABULARY)
    assert found.targets[[1, 2, 3], 0].tolist() == [5, 6, 7]
    assert (np.diff(found.chances, axis=1) <= 0).all()
    assert found.shares[[5, 6, 7, 8]].tolist() == pytest.approx([3 / 7, 2 / 7, 2 / 7, 0])

import pytest

from export.scores import bleu, bleu_signature, chrf

REFERENCES = ["Die Katze sieht ein grünes Haus.", "Das ist ein kleiner Hund."]


def test_a_perfect_translation_scores_a_hundred() -> None:
    assert bleu(REFERENCES, REFERENCES) == pytest.approx(100)
    assert chrf(REFERENCES, REFERENCES) == pytest.approx(100)


def test_nothing_right_scores_nothing() -> None:
    assert bleu(["xyz", "qqq"], REFERENCES) < 1
    assert chrf(["xyz", "qqq"], REFERENCES) < 5


def test_one_wrong_word_costs_some_points() -> None:
    nearly = ["Die Katze sieht ein rotes Haus.", REFERENCES[1]]
    assert 50 < bleu(nearly, REFERENCES) < 95
    assert 70 < chrf(nearly, REFERENCES) < 98


def test_the_corpus_is_scored_as_one_not_as_a_mean_of_sentences() -> None:
    half = ["xyz", REFERENCES[1]]
    mean = (bleu([half[0]], [REFERENCES[0]]) + bleu([half[1]], [REFERENCES[1]])) / 2
    assert bleu(half, REFERENCES) != pytest.approx(mean, abs=1)


def test_the_signature_says_what_was_computed() -> None:
    assert bleu_signature().startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")

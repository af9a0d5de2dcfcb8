import math

import numpy as np
import pytest

from model_zoo.manifest import Limits
from service.errors import InferenceFailed, InvalidInput
from service.tasks.base import Sentence, TranslationText
from service.tasks.text import TextTokenizer
from service.tasks.translation import Translation, TranslationPrediction
from tests.tasks.samples import EOS, byte_level_tokenizer, manifest, translation_input

TOKENIZER = TextTokenizer(byte_level_tokenizer())


def task(
    max_source_tokens: int = 64, *, source: str = "en", limit: int | None = None
) -> Translation:
    spec = translation_input(max_source_tokens, source)
    return Translation(
        manifest(spec, limits=Limits(max_tokens=limit)), spec, byte_level_tokenizer()
    )


def shouted(translation: Translation, raw: TranslationText) -> TranslationPrediction:
    """The whole way of a text, through a model that turns everything into capitals."""
    predictions = []
    for part in translation.split(raw):
        features = translation.preprocess(part)
        text = TOKENIZER.decode(features.ids[:-1].tolist()).upper()
        row = (TOKENIZER.plain_ids(text).tolist(), -0.5, True)
        predictions.append(translation.postprocess(features, row))
    return translation.join(raw, predictions)


def texts(translation: Translation, text: str) -> list[str]:
    return [part.text for part in translation.split(TranslationText(text))]


def test_a_text_is_split_into_its_sentences() -> None:
    parts = task().split(TranslationText("A dog. Two birds!\nNo end", beam=3))
    assert parts == [
        Sentence("A dog.", 3, after=" "),
        Sentence("Two birds!", 3, after="\n"),
        Sentence("No end", 3),
    ]


def test_a_sentence_knows_what_stands_around_it() -> None:
    parts = task().split(TranslationText("\n1. a dog\n--- 42\n\n7) a cat "))
    assert parts == [
        Sentence("a dog", before="\n1. ", after="\n--- 42\n\n7) "),
        Sentence("a cat", after=" "),
    ]


@pytest.mark.parametrize("text", ["", " ", "\n", " \t\r\n\n ", "123", "42. 17!", "--- 5 > 3", "😀"])
def test_what_has_no_letter_comes_back_as_it_is(text: str) -> None:
    translation = task()
    assert translation.split(TranslationText(text)) == []
    found = translation.join(TranslationText(text), [])
    assert found == TranslationPrediction(text, "en", "de", 0.0, truncated=False, tokens=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog", "A DOG"),
        ("  a dog. \n\n\tTwo birds?\r\n", "  A DOG. \n\n\tTWO BIRDS?\r\n"),
        ("1. a dog\n2. a cat\n---\n3.14", "1. A DOG\n2. A CAT\n---\n3.14"),
        ("\u2003a\u00a0dog.\u2028b", "\u2003A\u00a0DOG.\u2028B"),
    ],
)
def test_white_space_and_line_breaks_stay(text: str, expected: str) -> None:
    assert shouted(task(), TranslationText(text)).text == expected


def test_the_languages_are_named_in_the_answer() -> None:
    found = shouted(task(source="fr"), TranslationText("un chien"))
    assert (found.source, found.target) == ("fr", "de")


def test_abbreviations_are_those_of_the_source_language() -> None:
    text = "Am 3. Mai z.B. Hunde. Dann Katzen."
    assert texts(task(source="de"), text) == ["Am 3. Mai z.B. Hunde.", "Dann Katzen."]


def test_features_end_with_the_end_of_sentence() -> None:
    features = task().preprocess(Sentence("a dog", beam=2))
    assert features.ids.tolist() == [*TOKENIZER.plain_ids("a dog"), EOS]
    assert features.ids.dtype == np.int64
    assert features.beam == 2
    assert not features.truncated


def test_both_forms_of_an_accent_give_the_same_ids() -> None:
    composed, split = (task().preprocess(Sentence(t)) for t in ("café", "cafe\u0301"))
    assert composed.ids.tolist() == split.ids.tolist()


def test_a_spelled_out_end_of_sentence_does_not_end_it() -> None:
    features = task().preprocess(Sentence("a </s> b"))
    assert features.ids.tolist().count(EOS) == 1


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        task().split(TranslationText("a \ud800"))


@pytest.mark.parametrize(
    "text",
    [
        "  The old dog sees three red birds.\n",
        "The dog sees. A man eats an apple.",
        "- The dog sees three birds in the garden of my sister and of her brother",
        "1 + 1 = 2, and 2 + 2 = 4, and 4 + 4 = 8, and that is all that there is",
        "1 + 1 = 2 2 + 2 = 4 4 + 4 = 8 8 + 8 = 16 16 + 16 = 32",
        "When the old dog sees three red birds in the garden, my sister paints an apple",
        "",
    ],
)
def test_what_a_text_costs_at_least_is_told_by_a_glance(text: str) -> None:
    for translation in (task(), task(max_source_tokens=12)):
        raw = TranslationText(text)
        costs = [translation.cost(part) for part in translation.split(raw)]
        assert translation.least_cost(raw) <= max(costs, default=1)
    assert task().least_cost(TranslationText(" The old dog sees three red birds.\n")) == 10


def test_a_sentence_too_long_for_the_model_is_cut_into_pieces_that_fit() -> None:
    translation = task(max_source_tokens=12)
    text = "When the old dog sees three red birds in the garden, my sister paints an apple."
    parts = translation.split(TranslationText(text))
    assert len(parts) > 1
    for part in parts:
        features = translation.preprocess(part)
        assert len(features.ids) <= 12
        assert not features.truncated
    found = shouted(translation, TranslationText(text))
    assert found.text == text.upper()
    assert not found.truncated


def test_words_of_many_tokens_count_as_many() -> None:
    translation = task(max_source_tokens=12)
    parts = translation.split(TranslationText("Zyzzyx Qvwk Jxqz Wqvk"))
    assert [part.text for part in parts] == ["Zyzzyx Qvwk", "Jxqz Wqvk"]


def test_the_models_own_limit_counts_when_it_is_lower() -> None:
    assert len(texts(task(64, limit=8), "The dog sees a red ball in the garden.")) > 1
    assert len(texts(task(64), "The dog sees a red ball in the garden.")) == 1


def test_what_cannot_be_cut_small_enough_is_reported() -> None:
    translation = task(max_source_tokens=3)
    features = translation.preprocess(Sentence("𝔸"))  # four bytes, no merges: four tokens
    assert len(features.ids) == 3
    assert features.ids[-1] == EOS
    assert translation.postprocess(features, ([], 0.0, True)).truncated


def test_a_row_becomes_a_stripped_sentence() -> None:
    features = task().preprocess(Sentence("a dog"))
    ids = [1, *TOKENIZER.plain_ids("  ein Hund "), EOS]
    found = task().postprocess(features, (ids, -0.25, True))
    assert found == TranslationPrediction(
        "ein Hund", "en", "de", -0.25, truncated=False, tokens=len(ids)
    )


def test_a_sentence_without_end_is_truncated() -> None:
    features = task().preprocess(Sentence("a dog"))
    assert task().postprocess(features, ([5], -0.25, False)).truncated


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_the_models_fault(score: float) -> None:
    features = task().preprocess(Sentence("a dog"))
    with pytest.raises(InferenceFailed):
        task().postprocess(features, ([5], score, True))


def part(text: str, score: float, tokens: int, *, truncated: bool = False) -> TranslationPrediction:
    return TranslationPrediction(text, "en", "de", score, truncated, tokens)


def test_the_score_of_a_text_weighs_its_sentences_by_their_tokens() -> None:
    raw = TranslationText("One. Two.")
    found = task().join(raw, [part("Eins. ", -1.0, 2), part("Zwei.", -0.2, 4)])
    assert found.text == "Eins. Zwei."
    assert found.tokens == 6
    assert found.score == pytest.approx((-1.0 * 3 - 0.2 * 5) / 8)
    assert not found.truncated


def test_one_truncated_sentence_makes_a_truncated_text() -> None:
    raw = TranslationText("One. Two.")
    found = task().join(raw, [part("Eins. ", -1.0, 2), part("Zwei", -0.2, 4, truncated=True)])
    assert found.truncated


def test_cost_grows_with_the_sentence_up_to_the_models_limit() -> None:
    assert task().cost(Sentence("a dog")) < task().cost(Sentence("a dog and a cat")) <= 64
    assert task().cost(Sentence("long " * 1000)) == 64

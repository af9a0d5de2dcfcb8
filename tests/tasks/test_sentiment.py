import json

import numpy as np
import pytest

from model_zoo.manifest import Limits, TextInput
from service.errors import InferenceFailed, InvalidInput
from service.tasks.sentiment import Sentiment
from tests.tasks.samples import SENTENCES, byte_level_tokenizer, manifest, word_piece_tokenizer

LABELS = ("negative", "positive")


def task(max_tokens: int = 16, limit: int | None = None, word_pieces: bool = False) -> Sentiment:
    spec = TextInput(max_tokens=max_tokens, pad_id=0)
    of_model = manifest(spec, LABELS, Limits(max_tokens=limit))
    return Sentiment(
        of_model, spec, (word_piece_tokenizer if word_pieces else byte_level_tokenizer)()
    )


@pytest.mark.parametrize("text", ["", " ", "\n\t \u2003\u00a0", "\x1c\x1f"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="The text is empty"):
        task().preprocess(text)


def test_a_text_without_any_readable_character_is_refused() -> None:
    with pytest.raises(InvalidInput, match="readable"):
        Sentiment(
            manifest(TextInput(max_tokens=9, pad_id=0), LABELS),
            TextInput(max_tokens=9, pad_id=0),
            without_added_tokens(word_piece_tokenizer()),
        ).preprocess("\x00\x01")


def without_added_tokens(tokenizer_json: bytes) -> bytes:
    content = json.loads(tokenizer_json)
    content["post_processor"] = None
    return json.dumps(content).encode()


@pytest.mark.parametrize("word_pieces", [False, True])
def test_control_characters_do_no_harm(word_pieces: bool) -> None:
    sentiment = task(64, word_pieces=word_pieces)
    for text in (
        "a\x00dog",
        "\x1b[31mred",
        "a\u202edog\u200b",
        "\ufeffdog",
        "\U000e0001\uffff dog",
    ):
        assert len(sentiment.preprocess(text).ids) > 0


def test_both_forms_of_an_accent_give_the_same_ids() -> None:
    composed, split = task().preprocess("café"), task().preprocess("cafe\u0301")
    assert composed.ids.tolist() == split.ids.tolist()


def test_a_long_text_is_cut_and_the_answer_tells() -> None:
    features = task(max_tokens=5).preprocess(SENTENCES[0])
    assert len(features.ids) == 5
    assert task().postprocess(features, np.array([0, 1], np.float32)).truncated
    short = task().preprocess("a dog")
    assert not task().postprocess(short, np.array([0, 1], np.float32)).truncated


def test_the_models_own_limit_counts_when_it_is_lower() -> None:
    assert len(task(max_tokens=16, limit=4).preprocess(SENTENCES[0]).ids) == 4
    assert len(task(max_tokens=3, limit=9).preprocess(SENTENCES[0]).ids) == 3


def test_a_row_becomes_a_label_and_all_scores() -> None:
    features = task().preprocess("a dog")
    prediction = task().postprocess(features, np.log(np.array([0.25, 0.75], np.float32)))
    assert prediction.label == "positive"
    assert prediction.score == pytest.approx(0.75)
    assert prediction.scores == pytest.approx({"negative": 0.25, "positive": 0.75})
    assert list(prediction.scores) == list(LABELS)
    assert task().join("a dog", [prediction]) is prediction


def test_a_broken_row_is_the_models_fault() -> None:
    with pytest.raises(InferenceFailed):
        task().postprocess(task().preprocess("a dog"), np.array([np.nan, 0], np.float32))


def test_cost_grows_with_the_text_up_to_the_models_limit() -> None:
    assert task().split("a dog") == ["a dog"]
    assert task().cost("a dog") < task().cost(SENTENCES[0]) <= 16
    assert task().cost("long " * 10_000) == 16


def test_letters_whose_tokens_nobody_can_guess_are_not_quick() -> None:
    assert task().is_quick("a good film")
    assert not task().is_quick("un très bon film")

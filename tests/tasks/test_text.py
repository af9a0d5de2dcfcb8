import os
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tokenizers import Tokenizer

from service.errors import InvalidInput
from service.tasks.text import LONG, TextTokenizer, clean
from service.tasks.words import KnownWords
from tests.tasks.samples import EOS, SENTENCES, byte_level_tokenizer, word_piece_tokenizer


def test_ids_are_those_of_the_tokenizer() -> None:
    expected = Tokenizer.from_buffer(byte_level_tokenizer()).encode(SENTENCES[0]).ids
    encoding = TextTokenizer(byte_level_tokenizer()).encode(SENTENCES[0], 100)
    assert encoding.ids.tolist() == expected
    assert encoding.ids.dtype == np.int64
    assert not encoding.truncated


def test_words_that_are_known_are_not_tokenized_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"known words": np.array([7, 8, 9]), "strange ones": None}
    monkeypatch.setattr(KnownWords, "ids", lambda _, text: answers[text])
    tokenizer = TextTokenizer(byte_level_tokenizer())
    assert tokenizer.plain_ids("known words").tolist() == [7, 8, 9]
    assert tokenizer.encode("known words", 2).ids.tolist() == [7, 8]
    whole = Tokenizer.from_buffer(byte_level_tokenizer()).encode("strange ones")
    assert tokenizer.plain_ids("strange ones").tolist() == whole.ids


def test_a_long_text_keeps_its_beginning_and_tells_so() -> None:
    tokenizer = TextTokenizer(byte_level_tokenizer())
    whole = tokenizer.encode(SENTENCES[0], 1000).ids
    assert not tokenizer.encode(SENTENCES[0], len(whole)).truncated
    cut = tokenizer.encode(SENTENCES[0], len(whole) - 1)
    assert cut.truncated
    assert cut.ids.tolist() == whole[:-1].tolist()


def test_what_the_vocabulary_lacks_is_counted_where_that_can_be() -> None:
    pieces = TextTokenizer(word_piece_tokenizer())
    assert pieces.encode("The dog eats.", 100).unknown == 0
    assert pieces.encode("The 狗 dog 猫 eats.", 100).unknown == 2
    assert TextTokenizer(byte_level_tokenizer()).encode("狗", 100).unknown is None


def test_added_tokens_survive_truncation() -> None:
    tokenizer = TextTokenizer(word_piece_tokenizer())
    whole = tokenizer.encode("The dog eats.", 100).ids.tolist()
    cut = tokenizer.encode("The dog eats." * 10, 5)
    assert whole[0] == 2
    assert whole[-1] == 3
    assert cut.truncated
    assert cut.ids.tolist() == [*whole[:4], 3]


def test_truncation_and_padding_in_the_file_are_not_followed() -> None:
    stored = Tokenizer.from_buffer(byte_level_tokenizer())
    stored.enable_truncation(3)
    stored.enable_padding(length=50)
    tokenizer = TextTokenizer(stored.to_str().encode())
    encoding = tokenizer.encode(SENTENCES[0], 40)
    assert 3 < len(encoding.ids) < 40


def test_a_text_that_spells_a_special_token_does_not_mean_it() -> None:
    tokenizer = TextTokenizer(byte_level_tokenizer())
    ids = tokenizer.plain_ids("the end </s> of it").tolist()
    assert EOS not in ids
    assert tokenizer.decode(ids) == "the end </s> of it"


def test_special_tokens_are_left_out_of_a_decoded_text() -> None:
    tokenizer = TextTokenizer(byte_level_tokenizer())
    assert tokenizer.decode([1, *tokenizer.plain_ids("a dog").tolist(), 2]) == "a dog"
    assert tokenizer.decode([]) == ""


def test_other_bytes_are_no_tokenizer() -> None:
    for data in (b"", b"{}", b"\xff\x00", b"not json"):
        with pytest.raises(ValueError, match="not a tokenizer"):
            TextTokenizer(data)


def test_one_tokenizer_serves_many_threads() -> None:
    tokenizer = TextTokenizer(word_piece_tokenizer())
    alone = [tokenizer.encode(text, 8).ids.tolist() for text in SENTENCES]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: tokenizer.encode(text, 8).ids.tolist(), SENTENCES))
    assert together == alone


def test_the_library_starts_no_threads_of_its_own() -> None:
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_text_is_brought_to_composed_form() -> None:
    assert clean("Cafe\u0301") == "Café"
    assert clean("plain") == "plain"


@pytest.mark.parametrize("text", ["\ud800", "half \udfff way", "ä\ud83d"])
def test_half_a_character_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        clean(text)


def test_long_texts_are_not_composed_in_a_time_that_grows_as_their_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(form: str, text: str) -> str:
        raise AssertionError("this sorts the marks of one letter one by one")

    with monkeypatch.context() as patched:  # pytest itself needs it
        patched.setattr(unicodedata, "normalize", refuse)
        found = clean("e\u0301" * LONG)
    assert found == "é" * LONG


def test_long_texts_are_composed_as_short_ones_are() -> None:
    text = "e\u0316\u0301 Grüße \u0f73\u0f71 ﬁ Å"
    assert len(text) < LONG
    assert clean(text * 99) == "".join(unicodedata.normalize("NFC", f"{text}") for _ in range(99))

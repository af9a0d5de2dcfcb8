import unicodedata
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from export.datasets.generated import opinions, sentence_pairs
from export.tokens import (
    BOS,
    BOS_ID,
    EOS,
    EOS_ID,
    PAD,
    PAD_ID,
    kept_tokenizer,
    train_review_tokenizer,
    train_translation_tokenizer,
)
from service.tasks.text import TextTokenizer

REVIEWS = [*opinions(100).texts, "it's a film that don't bore, isn't it?", 'he said "no" (twice)']


@pytest.fixture(scope="module")
def reviews() -> Tokenizer:
    return train_review_tokenizer(REVIEWS, 300)


@pytest.fixture(scope="module")
def translation() -> TextTokenizer:
    """As the service opens it, from its file."""
    pairs = sentence_pairs(200)
    tokenizer = train_translation_tokenizer([*pairs.sources, *pairs.targets], 400)
    return TextTokenizer(tokenizer.to_str().encode())


@pytest.mark.parametrize(
    ("typed", "treebank"),
    [
        ("it's", "it 's"),
        ("It's fine", "it 's fine"),
        ("we don't", "we do n't"),
        ("isn't it?", "is n't it ?"),
        ("he (never) said", "he -lrb- never -rrb- said"),
        ("He (never) said", "he -LRB- never -RRB- said"),
        ('"well"', "`` well ''"),
        ("good, but long.", "good , but long ."),
        ("one<br />two", "one two"),
        ("one<br /><br />two", "one two"),
        ("one<br>two", "one two"),
        ("a  b\tc\nd", "a b c d"),
        ("café", "cafe"),
    ],
)
def test_reviews_and_treebank_write_the_same_tokens(
    reviews: Tokenizer, typed: str, treebank: str
) -> None:
    assert reviews.encode(typed).ids == reviews.encode(treebank).ids


def test_a_line_break_of_a_web_page_leaves_no_token(reviews: Tokenizer) -> None:
    assert "br" not in reviews.encode("good<br />bad").tokens
    assert reviews.encode("<br /><br />").ids == []


def test_words_with_nt_in_them_stay_whole(reviews: Tokenizer) -> None:
    assert reviews.encode("want n'tty").ids != reviews.encode("wantn'tty").ids


def test_a_review_has_no_added_tokens_and_padding_is_zero(reviews: Tokenizer) -> None:
    assert reviews.token_to_id(PAD) == PAD_ID
    assert PAD_ID not in reviews.encode("a film that bores").ids
    assert reviews.num_special_tokens_to_add(is_pair=False) == 0


def test_the_vocabulary_keeps_to_its_size(reviews: Tokenizer) -> None:
    assert reviews.get_vocab_size() <= 300


def test_the_same_sentences_give_the_same_translation_vocabulary() -> None:
    pairs = sentence_pairs(50)
    first, again = (train_translation_tokenizer(pairs.sources, 320).to_str() for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    "text",
    [
        "The cat sees a green house.",
        "Die Katze sieht ein grünes Haus.",
        "naïve café, Straße, Øresund",
        "日本語のテキスト, кириллица, עברית, العربية",
        "emoji 🙂👩‍👩‍👧 and 🇩🇪",
        "a\ttab, a  double space, a\nline",
        "\u200bzero width\u200d, \ufeffmark",
        "x² + y² = z², ½ €5 — “quotes” …",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0001f9ff \U000e0041",
        "C:\\path\\to <s> </s> <pad> &amp;",
    ],
)
def test_any_text_has_tokens_that_decode_to_it(translation: TextTokenizer, text: str) -> None:
    assert translation.decode(translation.plain_ids(text).tolist()).strip() == text.strip()


def test_every_character_of_the_basic_plane_comes_back(translation: TextTokenizer) -> None:
    characters = (chr(code) for code in range(0x21, 0xFFFF, 7) if not 0xD800 <= code < 0xE000)
    text = unicodedata.normalize("NFC", "x".join(characters))
    assert translation.decode(translation.plain_ids(text).tolist()).strip() == text.strip()


def test_both_unicode_forms_of_a_letter_have_the_same_tokens(translation: TextTokenizer) -> None:
    composed, apart = "schön", unicodedata.normalize("NFD", "schön")
    assert composed != apart
    assert translation.plain_ids(composed).tolist() == translation.plain_ids(apart).tolist()


def test_a_sentence_ends_in_the_end_token_and_begins_with_none() -> None:
    tokenizer = train_translation_tokenizer(["a b c", "a b d"], 300)
    assert [tokenizer.token_to_id(token) for token in (PAD, BOS, EOS)] == [PAD_ID, BOS_ID, EOS_ID]
    ids = tokenizer.encode("a b").ids
    assert ids[-1] == EOS_ID
    assert not {PAD_ID, BOS_ID, EOS_ID} & set(ids[:-1])


def test_a_vocabulary_is_kept_unless_nothing_may_be_written(tmp_path: Path) -> None:
    def train() -> Tokenizer:
        return train_translation_tokenizer(["a b c"], 300)

    kept_tokenizer(tmp_path / "run", train, keep=False)
    assert not (tmp_path / "run").exists()
    first = kept_tokenizer(tmp_path / "run", train).to_str()
    again = kept_tokenizer(tmp_path / "run", lambda: pytest.fail("trained twice"), keep=False)
    assert again.to_str() == first


def test_the_first_word_has_the_tokens_it_has_elsewhere(translation: TextTokenizer) -> None:
    both, one = translation.plain_ids("house house"), translation.plain_ids("house")
    assert both.tolist() == 2 * one.tolist()

"""What stands around a sentence before an encoder that Optimum exported reads it."""

import pytest
from tokenizers import Tokenizer, processors

from model_zoo.preprocessing import OptimumInput
from service.tasks.source_reader import SourceReader, make_reader
from service.tasks.text import TextTokenizer
from tests.tasks.samples import EOS, byte_level_tokenizer, translation_input

FRENCH = ">>fra<<"


def tokenizer(*, adds_end: bool = True) -> TextTokenizer:
    made = Tokenizer.from_buffer(byte_level_tokenizer())
    made.add_special_tokens([FRENCH])
    if adds_end:
        made.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", EOS)]
        )
    return TextTokenizer(made.to_str().encode())


def reader(limit: int = 64, *, prefix: str = "", adds_end: bool = True) -> SourceReader:
    spec = translation_input().model_copy(update={"optimum": OptimumInput(prefix=prefix)})
    return make_reader(tokenizer(adds_end=adds_end), spec, limit)


@pytest.mark.parametrize("adds_end", [True, False])
def test_a_sentence_has_one_end_whoever_adds_it(adds_end: bool) -> None:
    found = reader(adds_end=adds_end).read("a dog")
    assert found.ids.tolist() == [*tokenizer().plain_ids("a dog"), EOS]
    assert not found.truncated


def test_the_prefix_stands_before_every_sentence() -> None:
    found = reader(prefix="into German: ").read("a dog")
    assert found.ids.tolist() == [*tokenizer().plain_ids("into German: a dog"), EOS]


@pytest.mark.parametrize("prefix", [FRENCH, f"{FRENCH} "])
def test_a_prefix_that_is_a_token_becomes_that_token(prefix: str) -> None:
    found = reader(prefix=prefix).read("a dog")
    token = tokenizer().token_id(FRENCH)
    assert token is not None
    assert found.ids.tolist() == [token, *tokenizer().plain_ids("a dog"), EOS]


def test_a_text_cannot_spell_such_a_token() -> None:
    assert tokenizer().token_id(FRENCH) not in reader().read(f"{FRENCH} a dog").ids


@pytest.mark.parametrize("adds_end", [True, False])
@pytest.mark.parametrize("prefix", ["", FRENCH, "into German: "])
def test_the_limit_counts_all_that_the_encoder_reads(prefix: str, adds_end: bool) -> None:
    limited = reader(24, prefix=prefix, adds_end=adds_end)
    texts = ["a " * n for n in range(1, 30)]
    read = [limited.read(text) for text in texts]
    assert {found.truncated for found in read} == {True, False}
    for text, found in zip(texts, read, strict=True):
        assert found.truncated == (limited.count(text) > limited.room)
        assert (len(found.ids) == 24) == (limited.count(text) >= limited.room)
        assert len(found.ids) <= 24
        assert found.ids[-1] == EOS


def test_a_prefix_must_leave_room() -> None:
    with pytest.raises(ValueError, match="leave no room beside the prefix 'into German: '"):
        reader(4, prefix="into German: ")

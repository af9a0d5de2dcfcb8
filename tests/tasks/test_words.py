"""Words that were read before have the very ids that the tokenizer gives to the whole text."""

import random
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.normalizers import BertNormalizer, Normalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel, PreTokenizer

from service.tasks import words
from service.tasks.words import (
    LONGEST,
    Cut,
    KnownWords,
    in_linear_time,
    known_words,
    with_rules_in_linear_time,
)

COMMON = "nstable <br/>'-.,0 \n\téßÉ’“ü"
RARE = "\r\x0b\x0c\x00\x1c\x7f\x85\x96\xa0ªµ½²´£ÆØ×…€狗\u0301\u200bﬁ"
JOINTS = [
    " n't",
    "n't ",
    "<br />",
    "<br\n/>",
    "'s",
    "'LL",
    "''",
    "``",
    "-lrb-",
    "-LRB-",
    "  ",
    "Th",
]


def texts(count: int, seed: int, rare: float = 0.005) -> list[str]:
    """Of pieces that lie on the borders of the rules."""
    chance = random.Random(seed)

    def piece() -> str:
        if chance.random() < rare:
            return chance.choice(RARE)
        return chance.choice(JOINTS) if chance.random() < 0.2 else chance.choice(COMMON)

    return ["".join(piece() for _ in range(chance.randrange(1, 30))) for _ in range(count)]


def trained(
    normalizer: Normalizer | None, pre_tokenizer: PreTokenizer, *, by_bytes: bool = False
) -> Tokenizer:
    """Knows every character and many joints, so that no difference hides behind <unk>."""
    trainer: Any
    if by_bytes:
        tokenizer = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=700, initial_alphabet=ByteLevel.alphabet(), show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        trainer = trainers.WordPieceTrainer(
            vocab_size=700, special_tokens=["<unk>"], show_progress=False
        )
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(texts(2000, 0, rare=0.1), trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


REVIEWS = normalizers.Sequence(
    [
        normalizers.Replace(Regex(r"<br\s*/?>"), " "),
        BertNormalizer(lowercase=True),
        normalizers.Replace(Regex(r"\s+n't\b"), "n't"),
        normalizers.Replace("-lrb-", "("),
        normalizers.Replace("''", '"'),
    ]
)
KINDS = {
    "reviews": (REVIEWS, BertPreTokenizer(), False),
    "bert": (BertNormalizer(lowercase=True), BertPreTokenizer(), False),
    "bert, cased": (BertNormalizer(lowercase=False), BertPreTokenizer(), False),
    "bert, not cleaned": (BertNormalizer(clean_text=False), BertPreTokenizer(), False),
    "spaces in a pattern": (
        normalizers.Sequence([BertNormalizer(), normalizers.Replace(" n't", "n't")]),
        BertPreTokenizer(),
        False,
    ),
    "plain": (None, pre_tokenizers.Whitespace(), False),
    "between spaces": (normalizers.Lowercase(), pre_tokenizers.WhitespaceSplit(), False),
    "composed": (
        normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
        BertPreTokenizer(),
        False,
    ),
    "bytes": (normalizers.NFC(), ByteLevel(add_prefix_space=True), True),
    "bytes, as they are": (None, ByteLevel(add_prefix_space=False), True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_ids_are_those_of_the_whole_text(kind: str) -> None:
    normalizer, pre_tokenizer, by_bytes = KINDS[kind]
    tokenizer = trained(normalizer, pre_tokenizer, by_bytes=by_bytes)
    known = known_words(tokenizer)
    assert known is not None
    some = texts(3000, 1)
    for text in (*some, *some[:500]):
        found = known.ids(text)
        if found is not None:
            whole = tokenizer.encode(text, add_special_tokens=False).ids
            assert found.tolist() == whole, repr(text)
    plain = [
        text for text in some if text.isascii() and not re.search(r"[\x00-\x08\x0b-\x1f]", text)
    ]
    assert len(plain) > 50
    assert all(known.ids(text.replace("\x7f", "") or "a") is not None for text in plain)


def test_reviews_with_accents_and_odd_signs_are_cut_too() -> None:
    known = known_words(trained(REVIEWS, BertPreTokenizer()))
    assert known is not None
    assert known.ids("A cliché’s\x96 £5…") is not None
    for strange in ("½", "²", "\x1c", "狗", "e\u0301", ""):
        assert known.ids(strange) is None


def test_german_and_typesetters_signs_are_cut_for_a_tokenizer_of_bytes() -> None:
    known = known_words(trained(normalizers.NFC(), ByteLevel(), by_bytes=True))
    assert known is not None
    assert known.ids("Schöne Grüße – „Übung“ für 5 €…") is not None
    for strange in ("½", "ª", "×", "\x0b", "狗", "e\u0301", ""):
        assert known.ids(strange) is None


@pytest.mark.parametrize("kind", KINDS)
def test_long_runs_have_the_ids_of_the_whole_text(kind: str) -> None:
    normalizer, pre_tokenizer, by_bytes = KINDS[kind]
    tokenizer = trained(normalizer, pre_tokenizer, by_bytes=by_bytes)
    known = known_words(tokenizer)
    assert known is not None
    for each in " \t\n-'!<a\xa0":
        run = each * 300
        for text in (f"a{run}b", f"{run} n't", f"{run}n't a", f"<br{run}/>", f"{each} n't" * 99):
            found = known.ids(text)
            if found is not None:
                whole = tokenizer.encode(text, add_special_tokens=False).ids
                assert found.tolist() == whole, repr(text)
    if not by_bytes:  # to the others, spaces are words
        assert known.ids(f"a{' ' * 300}b") is not None


# each with a text in which it may begin with a run from 1 to 6
RUNS = {
    r"\s+n't\b": "a     n't",
    r"\s+": "a  \t\n b",
    r"\s*n't\b": "a     n't",
    "-+ ": "a----- ",
    "a+b": " aaaaab",
    r"=+\s?t": "t===== t",
    r"!+\b": "t!!!!!t",
}
NO_RUN_FIRST = [r"<br\s*/?>", r"\bn't", "https?:", r"a\s+n*t"]


@pytest.mark.parametrize("pattern", [*RUNS, *NO_RUN_FIRST])
def test_a_pattern_finds_what_the_tokenizer_finds(pattern: str) -> None:
    found = in_linear_time(pattern)
    assert found is not None
    replace = normalizers.Replace(Regex(pattern), "x")
    chance = random.Random(2)
    pieces = [" ", "\t", "-", "a", "b", "t", "n't", "=", "!", "<br", "/>", "https:"]
    for _ in range(300):
        text = "".join(chance.choice(pieces) * chance.choice([1, 1, 2, 40]) for _ in range(12))
        assert found.sub("x", text) == replace.normalize_str(text), repr(text)
        quick = normalizers.Replace(Regex(found.pattern), "x")
        assert quick.normalize_str(text) == replace.normalize_str(text), repr(text)


@pytest.mark.parametrize("pattern", RUNS)
def test_a_run_is_looked_through_from_its_beginning_alone(pattern: str) -> None:
    found = in_linear_time(pattern)
    assert found is not None
    assert [place for place in range(6) if found.match(RUNS[pattern], place)] == [1]


def test_a_tokenizer_looks_through_runs_from_their_beginning_too() -> None:
    tokenizer = trained(REVIEWS, BertPreTokenizer())
    quick = with_rules_in_linear_time(tokenizer)
    assert "(?<!" in quick.to_str()
    assert "(?<!" not in tokenizer.to_str()
    for text in texts(1000, 3):
        assert quick.encode(text).ids == tokenizer.encode(text).ids, repr(text)


UNKNOWN = {
    "other normalizer": (normalizers.NFKC(), ByteLevel(), True),
    "another pattern": (None, ByteLevel(use_regex=False), True),
    "spaces that stay": (None, pre_tokenizers.Metaspace(), False),
    "steps of cutting": (
        None,
        pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()]),
        False,
    ),
    "strip": (normalizers.Strip(), BertPreTokenizer(), False),
    "class in a pattern": (normalizers.Replace(Regex(r"[a-c]"), "x"), BertPreTokenizer(), False),
    "pattern of nothing": (normalizers.Replace(Regex(r"\s*"), "x"), BertPreTokenizer(), False),
    "nothing": (normalizers.Replace("", "x"), BertPreTokenizer(), False),
    "border": (normalizers.Replace(Regex(r"\b"), "x"), BertPreTokenizer(), False),
    "greed": (normalizers.Replace(Regex(r"a++"), "x"), BertPreTokenizer(), False),
    "run after run": (normalizers.Replace(Regex(r"\s+ ?x"), "x"), BertPreTokenizer(), False),
    "run after its own": (normalizers.Replace(Regex("aa+b"), "x"), BertPreTokenizer(), False),
    "run in many ways": (normalizers.Replace(Regex("a*b*a*x"), "x"), BertPreTokenizer(), False),
    "run that may be first": (normalizers.Replace(Regex("b?a+c"), "x"), BertPreTokenizer(), False),
    "first is last": (normalizers.Replace(Regex(r"\s*,\s*"), ","), BertPreTokenizer(), False),
    "strange in its place": (normalizers.Replace("a", "\x1c"), BertPreTokenizer(), False),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_other_tokenizers_read_whole_texts(kind: str) -> None:
    normalizer, pre_tokenizer, by_bytes = UNKNOWN[kind]
    assert known_words(trained(normalizer, pre_tokenizer, by_bytes=by_bytes)) is None


def test_words_that_cross_spaces_or_come_by_chance_are_read_whole() -> None:
    crossing = trained(None, pre_tokenizers.Whitespace())
    crossing.add_tokens(["New York"])
    assert known_words(crossing) is None
    tokenizer = Tokenizer(models.BPE(dropout=0.1))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    assert known_words(tokenizer) is None
    assert known_words(Tokenizer(models.BPE())) is None


@dataclass
class Found:
    ids: list[int]


@dataclass
class Reader:
    """A word's id is its length, a silent one has none; remembers what it was asked for."""

    asked: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)

    def encode_batch_fast(self, batch: Sequence[str], *, add_special_tokens: bool) -> list[Found]:
        assert not add_special_tokens
        self.asked += batch
        return [Found([] if word in self.silent else [len(word)]) for word in batch]


def ids_of(known: KnownWords, text: str) -> list[int]:
    found = known.ids(text)
    assert found is not None
    assert found.dtype == np.int64
    assert found.flags.writeable
    ids: list[int] = found.tolist()
    return ids


def spying() -> tuple[KnownWords, Reader]:
    reader = Reader()
    return KnownWords(Cut(re.compile("!"), str.split, cast(Tokenizer, reader))), reader


def test_a_word_is_read_once() -> None:
    known, reader = spying()
    assert ids_of(known, "a dog sees a cat") == [1, 3, 4, 1, 3]
    assert ids_of(known, "cat sees bird") == [3, 4, 4]
    assert reader.asked == ["a", "dog", "sees", "cat", "bird"]


def test_words_that_nobody_sends_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST", 3)
    known, reader = spying()
    known.ids("a dog sees")
    assert ids_of(known, "a horse") == [1, 5]  # the others are the older ones now
    assert ids_of(known, "a dog") == [1, 3]  # both stay, since they were asked for
    assert reader.asked == ["a", "dog", "sees", "horse"]
    assert ids_of(known, "a bird") == [1, 4]
    assert ids_of(known, "sees dog") == [4, 3]
    assert reader.asked == ["a", "dog", "sees", "horse", "bird", "sees"]


def test_a_word_may_have_no_ids_at_all() -> None:
    known, reader = spying()
    reader.silent.add("uh")
    assert ids_of(known, "uh a") == [1]
    assert ids_of(known, "uh a") == [1]
    assert ids_of(known, "uh dog") == [3]
    assert reader.asked == ["uh", "a", "dog"]


def test_words_without_ids_are_forgotten_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST", 2)
    known, reader = spying()
    reader.silent |= {"uh", "oh", "eh"}
    for text in ("uh oh", "eh a", "dog", "uh"):
        known.ids(text)
    assert reader.asked == ["uh", "oh", "eh", "a", "dog", "uh"]


def test_words_that_another_thread_puts_aside_meanwhile_are_still_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, _ = spying()
    known.ids("a")
    learn = known._learn

    def learn_and_lose(unknown: Collection[str]) -> Mapping[str, bytes]:
        learnt = learn(unknown)
        known._known, known._older = {}, {}
        return learnt

    monkeypatch.setattr(known, "_learn", learn_and_lose)
    assert ids_of(known, "a dog sees") == [1, 3, 4]


def test_a_text_of_spaces_has_no_ids() -> None:
    known, _ = spying()
    assert ids_of(known, "  ") == []


def test_long_words_are_not_kept() -> None:
    known, reader = spying()
    assert ids_of(known, "x" * LONGEST) == [LONGEST]
    assert known.ids("a " + "x" * (LONGEST + 1)) is None
    assert known.ids("a! b") is None
    assert reader.asked == ["x" * LONGEST]

"""Looks up the ids of words that were read before, where a tokenizer reads word by word.

Most words of a text came in others already, and looking them up takes a small part of the time of
reading them again. A word is here what a tokenizer reads without regard to what stands beside it:
what lies between spaces, or a match of the pattern by which byte-level tokenizers cut. Taken are
kinds of tokenizers whose rules are known, and texts in whose characters those rules are simple; all
others are to be read whole.
"""

import json
import re
import string
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import ByteLevel

Ids = NDArray[np.int64]
Rewrite = Callable[[str], str]

LONGEST = 32  # characters of a word that is worth keeping
ID_BYTES = np.dtype(np.int64).itemsize
MOST = 65_536  # ids until the words of before are put aside; they and the new ones take some 8 MB

ASCII = r"\t\n\r -~"
LETTERS = "A-Za-zÀ-ÖØ-öø-ÿ"
SIGNS = "–—‘’‚“”„…€"  # of typesetters, beyond Latin-1
STRANGE_TO_ASCII = re.compile(f"[^{ASCII}]")
STRANGE_TO_BYTES = re.compile(f"[^{ASCII}{LETTERS}{SIGNS}]")
# ²³¹ and fractions are letters to Python's patterns, and none to the tokenizer's
STRANGE_TO_BERT = re.compile(f"[^{ASCII}\x80-\xb1\xb4-\xb8\xba\xbb\xbf-\xff{SIGNS}]")

# GPT-2's pattern (Radford 2019), for characters that are not strange
BYTE_LEVEL = re.compile(
    rf"'s|'t|'re|'ve|'m|'ll|'d| ?[{LETTERS}]+| ?[0-9]+| ?[^\s{LETTERS}0-9]+|\s+(?!\S)|\s+"
)
BETWEEN_SPACES = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
NOTHING_IN_ASCII = {"NFC", "NFD", "NFKC", "NFKD", "StripAccents"}

# What patterns mean to the tokenizer's engine as to Python's.
ATOM = re.compile(r"(?P<what>\\[bs]|[A-Za-z0-9_ <>/',;:!&=-])(?P<times>[*+?]?)")


@dataclass(frozen=True)
class Cut:
    """`strange` finds what a text must not hold, `words` cuts it, and `reader` reads a word."""

    strange: re.Pattern[str]
    words: Callable[[str], list[str]]
    reader: Tokenizer


class KnownWords:
    """The ids of words, as the bytes of an array: to string them together is one copy.

    Threads may share it: at worst, two of them read the same word.
    """

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._known: dict[str, bytes] = {}
        self._older: Mapping[str, bytes] = {}
        self._held = 0

    def ids(self, text: str) -> Ids | None:
        """Those of the text, [T]; None where it is to be read whole."""
        if not text or self._cut.strange.search(text):
            return None
        words = self._cut.words(text)
        found = [*map(self._known.get, words)]
        if None in found:
            places = [place for place, ids in enumerate(found) if ids is None]
            unknown = dict.fromkeys(words[place] for place in places)
            if max(map(len, unknown)) > LONGEST:
                return None
            learnt = self._learn(unknown)
            for place in places:
                found[place] = learnt[words[place]]
        joined = b"".join(cast(list[bytes], found))
        return np.frombuffer(joined, np.int64).copy()  # bytes cannot be written to; torch wants to

    def _learn(self, unknown: Collection[str]) -> Mapping[str, bytes]:
        """The ids of these words, which are known from now on."""
        if self._held >= MOST:
            self._older, self._known, self._held = self._known, {}, 0
        older = {word: self._older.get(word) for word in unknown}
        new = [word for word, ids in older.items() if ids is None]
        read = self._cut.reader.encode_batch_fast(new, add_special_tokens=False)
        learnt = {word: ids for word, ids in older.items() if ids is not None}
        for word, each in zip(new, read, strict=True):
            learnt[word] = array("q", each.ids).tobytes()  # half of numpy's time
        self._known.update(learnt)
        # a word without ids takes room too
        self._held += sum(max(1, len(ids) // ID_BYTES) for ids in learnt.values())
        return learnt


def known_words(tokenizer: Tokenizer) -> KnownWords | None:
    """None for a tokenizer of which it is not known that it reads word by word."""
    rules = json.loads(tokenizer.to_str())
    special = all(token["special"] for token in rules["added_tokens"])
    if not special or rules["model"].get("dropout"):
        return None
    reader = Tokenizer(tokenizer.model)
    cut = _by_bytes(rules, reader) or _between_spaces(rules, tokenizer, reader)
    return None if cut is None else KnownWords(cut)


def _by_bytes(rules: Mapping[str, Any], reader: Tokenizer) -> Cut | None:
    kind = rules["pre_tokenizer"] or {}
    normalizer = rules["normalizer"] or {"type": "NFC"}
    if (kind.get("type"), kind.get("use_regex"), normalizer["type"]) != ("ByteLevel", True, "NFC"):
        return None
    reader.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    if not kind["add_prefix_space"]:
        return Cut(STRANGE_TO_BYTES, BYTE_LEVEL.findall, reader)
    return Cut(
        STRANGE_TO_BYTES,
        lambda text: BYTE_LEVEL.findall(text if text[0] == " " else f" {text}"),
        reader,
    )


def _between_spaces(
    rules: Mapping[str, Any], tokenizer: Tokenizer, reader: Tokenizer
) -> Cut | None:
    kind = (rules["pre_tokenizer"] or {}).get("type")
    parts = _parts(rules["normalizer"])
    steps = [_rewrite(part) for part in parts]
    rewrites = [step for step in steps if step is not None]
    if kind not in BETWEEN_SPACES or len(rewrites) < len(steps):
        return None
    if kind == "BertPreTokenizer":
        rewrites.append(_apart)
    reader.pre_tokenizer = tokenizer.pre_tokenizer
    kinds = {part["type"] for part in parts}
    strange = STRANGE_TO_BERT if kinds <= {"BertNormalizer", "Replace"} else STRANGE_TO_ASCII

    def words(text: str) -> list[str]:
        for rewrite in rewrites:
            text = rewrite(text)
        return text.split()

    return Cut(strange, words, reader)


def _parts(normalizer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The steps of a normalizer, one after the other."""
    if normalizer is None:
        return []
    if normalizer["type"] != "Sequence":
        return [normalizer]
    return [step for part in normalizer["normalizers"] for step in _parts(part)]


def _rewrite(normalizer: Mapping[str, Any]) -> Rewrite | None:
    """What a step does to a text without strange characters; None where that is not known."""
    kind = normalizer["type"]
    if kind == "Replace":
        return _replacing(normalizer)
    if kind == "BertNormalizer":
        return _like_bert(normalizer)
    if kind == "Lowercase":
        return str.lower
    return str if kind in NOTHING_IN_ASCII else None


def _like_bert(normalizer: Mapping[str, Any]) -> Rewrite:
    options = {name: value for name, value in normalizer.items() if name != "type"}
    bert = BertNormalizer(**options)
    characters = map(chr, [*range(0x80, 0x100), *map(ord, SIGNS)])
    beyond_ascii = str.maketrans({each: bert.normalize_str(each) for each in characters})
    lowercase, clean = options["lowercase"], options["clean_text"]

    def rewrite(text: str) -> str:
        if not text.isascii():
            text = text.translate(beyond_ascii)
        if clean:
            text = text.replace("\n", " ").replace("\t", " ").replace("\r", " ")
        return text.lower() if lowercase else text

    return rewrite


def _apart(text: str) -> str:
    """Each punctuation mark a word of its own, so that fewer different ones come."""
    for mark in string.punctuation:
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    return text


def _replacing(normalizer: Mapping[str, Any]) -> Rewrite | None:
    content = normalizer["content"]
    ((kind, pattern),) = normalizer["pattern"].items()
    if STRANGE_TO_ASCII.search(content):
        return None
    if kind == "String":
        return (lambda text: text.replace(pattern, content)) if pattern else None
    found = in_linear_time(pattern)
    return None if found is None else lambda text: found.sub(lambda _: content, text)


def with_rules_in_linear_time(tokenizer: Tokenizer) -> Tokenizer:
    """One that gives the same ids; its engine searches for patterns as ours does."""
    rules, changed = json.loads(tokenizer.to_str()), False
    for step in _parts(rules["normalizer"]):
        pattern = step["pattern"] if step["type"] == "Replace" else {}
        found = in_linear_time(pattern["Regex"]) if "Regex" in pattern else None
        if found is not None:
            pattern["Regex"], changed = found.pattern, True
    return Tokenizer.from_str(json.dumps(rules)) if changed else tokenizer


def in_linear_time(pattern: str) -> re.Pattern[str] | None:
    """What finds the matches of this pattern in a time that grows as the text; None where that is
    not certain.

    In a run of one character a search would try each place, and look to the end of the run from
    there. So it begins where the run does: whoever matches later in it matches there too.
    """
    atoms = [(atom["what"], atom["times"]) for atom in ATOM.finditer(pattern)]
    if "".join(what + times for what, times in atoms) != pattern or not _are_certain(atoms):
        return None
    first, times = atoms[0]
    if times == "+":  # what it begins with stays first: Python's engine skips to it
        return re.compile(rf"{first}(?<!{first}{first}){first}*{pattern[len(first) + 1 :]}")
    return re.compile(rf"(?<!{first}){pattern}" if times == "*" else pattern)


def _are_certain(atoms: Sequence[tuple[str, str]]) -> bool:
    """Whether a match may take each character in one way only, and cannot take none at all."""
    anchored = False  # by a character that must be there
    for place, (what, times) in enumerate(atoms):
        others = (other for number, (other, _) in enumerate(atoms) if number != place)
        if times and any(_overlap(what, other) for other in others):
            return False
        if times in ("*", "+") and place and not anchored:
            return False
        anchored = anchored or (what != r"\b" and times in ("", "+"))
    return anchored


def _overlap(one: str, other: str) -> bool:
    return one == other or {one, other} == {r"\s", " "}

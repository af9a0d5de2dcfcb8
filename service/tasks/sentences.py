"""Splits a text into sentences so that joining them again gives the text back, byte for byte.

For European languages that end sentences with . ! ? or an ellipsis. A line break always ends a
sentence. Pure functions; where a full stop can be read both ways the sentence goes on, since two
sentences in one translate better than half a sentence.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import NamedTuple

from service.tasks.abbreviations import StopWords, stop_words

_LINE_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_BULLET = re.compile(r"(?:[-*•·–—>#+]{1,6}|\d{1,3}\))(?=\s)")
_NUMBER_BULLET = re.compile(r"\d{1,3}\.(?=\s)")
# Marks, then closing quotes and brackets (also "Ende. »" with a no-break space), then white space.
# Nothing is looked at twice, or a text of ten thousand full stops would take seconds.
_CANDIDATE = re.compile(
    r"(?<![.!?…])(?P<marks>[.!?…]++)"
    r"(?P<closers>[\"'”’“‘»«›‹)\]}*_]*+(?:[\u00a0\u202f][»›])?+)(?P<gap>\s++)"
)
_OPENERS = "\"'“”„‟‚‘’«»‹›([{*_¿¡–—- "
_LAST_WORD = re.compile(r"[^\s\"“„‚‘«»(\[{/–—]*\Z")
_FIRST_WORD = re.compile(r"[^\W_]+")
_DOTTED = re.compile(r"[^\W\d_](?:\.[^\W\d_])+\Z")
_ORDINAL = re.compile(r"(?:\d{1,2}\.?-)?\d{1,3}(?:\.\d{1,2})?\Z")  # 3. or 3.10. or 8.-10.
_JOINER = "\u200d"  # between the parts of one emoji
_LOOK_AROUND = 40  # characters: longer than any abbreviation
_BREAKS = (re.compile(r"(?<=[,;:–—)])\s+"), re.compile(r"\s+"))


class Segment(NamedTuple):
    """A stretch of a text, and the white space that follows it."""

    text: str
    gap: str

    @property
    def has_letters(self) -> bool:
        """Whether there is anything to translate: not so in numbers and punctuation."""
        return any(map(str.isalpha, self.text))


def split_sentences(text: str, language: str = "en") -> list[Segment]:
    """The sentences of `text` in order; white space that leads a line follows an empty segment."""
    words = stop_words(language)
    segments: list[Segment] = []
    start = 0
    for line_break in _LINE_BREAK.finditer(text):
        segments += _split_line(text[start : line_break.start()], line_break.group(), words)
        start = line_break.end()
    segments += _split_line(text[start:], "", words)
    return [segment for segment in segments if segment.text or segment.gap]


def is_one_sentence(text: str) -> bool:
    """Whether a text without white space around it has letters and surely no second segment; where
    this is False there may be one all the same."""
    parted = _LINE_BREAK.search(text) or _CANDIDATE.search(text)
    listed = _BULLET.match(text) or _NUMBER_BULLET.match(text)
    return not parted and not listed and any(map(str.isalpha, text))


def join_segments(segments: Iterable[Segment]) -> str:
    """The inverse of `split_sentences`, and of `cut`."""
    return "".join(segment.text + segment.gap for segment in segments)


def _split_line(line: str, line_break: str, words: StopWords) -> list[Segment]:
    body = line.strip()
    lead = len(line) - len(line.lstrip())
    trail = line[lead + len(body) :] + line_break
    segments = [Segment("", line[:lead])]
    start = _bullet_end(body, words)
    if start:
        after = len(body) - len(body[start:].lstrip())
        segments.append(Segment(body[:start], body[start:after]))
        start = after
    for match in _CANDIDATE.finditer(body, start):
        if _ends_sentence(body, start, match, words):
            segments.append(Segment(body[start : match.start("gap")], match["gap"]))
            start = match.end()
    segments.append(Segment(body[start:], trail))
    return segments


def _bullet_end(body: str, words: StopWords) -> int:
    """Where a list's mark or number at the start of a line ends; 0 without one."""
    match = _BULLET.match(body)
    if match is None and not words.ordinals:
        match = _NUMBER_BULLET.match(body)
    return match.end() if match else 0


def _ends_sentence(body: str, start: int, match: re.Match[str], words: StopWords) -> bool:
    rest = body[match.end() : match.end() + _LOOK_AROUND].lstrip(_OPENERS)
    marks, closers = match["marks"], match["closers"]
    if rest[:1].islower():
        # "Really?" he asked. But also: are you there? i am not.
        return not closers and any(mark in "!?" for mark in marks)
    if marks != "." or closers.strip(")]}*_"):
        return True
    before = body[max(start, match.start() - _LOOK_AROUND) : match.start()]
    last_word = _LAST_WORD.search(before)
    return last_word is None or _full_stop_ends(last_word.group(), rest, words)


def _full_stop_ends(word: str, rest: str, words: StopWords) -> bool:
    first_word = _FIRST_WORD.match(rest)
    starts = first_word is not None and first_word.group().lower() in words.starters
    lowered = word.lower()
    if len(word) == 1 and word.isalpha():
        return word == "I" and starts and not words.ordinals  # else an initial, or "z. B."
    if lowered in words.maybe_last or _DOTTED.match(word):
        return starts and lowered not in words.never_last
    compound_end = lowered[-3:]  # "Hauptstr. 5"
    if rest[:1].isdecimal() and not words.before_number.isdisjoint((lowered, compound_end)):
        return False
    if words.ordinals and _ORDINAL.match(word):
        return starts
    return lowered not in words.never_last


def cut(segment: Segment, fits: Callable[[str], bool]) -> list[Segment]:
    """The segment in pieces that fit: cut at clauses if possible, else spaces, else anywhere.

    A single character that does not fit stays as it is.
    """
    pieces: list[Segment] = []
    waiting = [segment]
    while waiting:
        piece = waiting.pop()
        if len(piece.text) < 2 or fits(piece.text):
            pieces.append(piece)
            continue
        end, start = _middle_break(piece.text)
        waiting.append(Segment(piece.text[start:], piece.gap))
        waiting.append(Segment(piece.text[:end], piece.text[end:start]))
    return pieces


def _middle_break(text: str) -> tuple[int, int]:
    """Where the first half ends and the second starts, as near to the middle as is sensible."""
    middle = len(text) / 2

    def distance(span: tuple[int, int]) -> float:
        return abs(span[0] - middle)

    spaces: list[tuple[int, int]] = []
    for pattern in _BREAKS:
        spaces = [match.span() for match in pattern.finditer(text)]
        central = [span for span in spaces if distance(span) <= len(text) / 4]
        if central:
            return min(central, key=distance)
    return min(spaces, key=distance) if spaces else _hard_break(text)


def _hard_break(text: str) -> tuple[int, int]:
    """As near after the middle as no character is parted from its accents."""
    middle = len(text) // 2
    for place in range(middle, len(text)):
        joined = text[place] == _JOINER or text[place - 1] == _JOINER
        if not joined and not unicodedata.category(text[place]).startswith("M"):
            return place, place
    return middle, middle

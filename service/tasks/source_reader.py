"""How the text of one sentence becomes the ids that an encoder reads, its end token last."""

from typing import Protocol

import numpy as np

from model_zoo.preprocessing import OptimumInput, TranslationInput
from service.tasks.text import Encoding, TextTokenizer

_UNBOUNDED = 1 << 30


class SourceReader(Protocol):
    """Reads a text, which must be clean, up to a number of tokens."""

    @property
    def room(self) -> int:
        """The most tokens that a text may have."""
        ...

    def read(self, text: str) -> Encoding:
        """The ids of the text's beginning; with the end token they are at most the limit."""
        ...

    def count(self, text: str) -> int:
        """How many tokens the whole text has."""
        ...


def make_reader(tokenizer: TextTokenizer, spec: TranslationInput, limit: int) -> SourceReader:
    """The reader of this model, for at most `limit` tokens a sentence.

    Raises ValueError where what is put around every sentence leaves no room for any.
    """
    if spec.optimum is None:
        return _PlainReader(tokenizer, spec.eos_id, limit)
    return _TemplateReader(tokenizer, spec.eos_id, limit, spec.optimum)


class _PlainReader:
    """The text's own tokens, then the end token."""

    def __init__(self, tokenizer: TextTokenizer, eos_id: int, limit: int) -> None:
        self._tokenizer = tokenizer
        self._end = np.array([eos_id], np.int64)
        self.room = limit - 1

    def read(self, text: str) -> Encoding:
        ids = self._tokenizer.plain_ids(text)
        ids_T = np.concatenate((ids[: self.room], self._end))
        return Encoding(ids_T, truncated=len(ids) > self.room)

    def count(self, text: str) -> int:
        return len(self._tokenizer.plain_ids(text))


class _TemplateReader:
    """The model's prefix, the text, and whatever special tokens the tokenizer puts around it."""

    def __init__(
        self, tokenizer: TextTokenizer, eos_id: int, limit: int, optimum: OptimumInput
    ) -> None:
        self._tokenizer = tokenizer
        # a prefix such as ">>fra<<" is a token that no text can spell
        token = tokenizer.token_id(optimum.prefix.strip())
        self._prefix = optimum.prefix if token is None else ""
        self._before = [] if token is None else [token]
        added = tokenizer.encode("", _UNBOUNDED).ids.tolist()
        self._after = [] if added[-1:] == [eos_id] else [eos_id]
        self._limit = limit - len(self._before) - len(self._after)
        self._lead = len(tokenizer.plain_ids(self._prefix))
        self.room = self._limit - len(added) - self._lead
        if self.room < 1:
            raise ValueError(f"{limit} tokens leave no room beside the prefix {optimum.prefix!r}")

    def read(self, text: str) -> Encoding:
        encoding = self._tokenizer.encode(self._prefix + text, self._limit)
        ids_T = np.array([*self._before, *encoding.ids, *self._after], np.int64)
        return Encoding(ids_T, encoding.truncated, encoding.unknown)

    def count(self, text: str) -> int:
        return len(self._tokenizer.plain_ids(self._prefix + text)) - self._lead

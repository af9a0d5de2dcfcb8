"""Opens tokenizers and turns text into token ids, telling when a text was cut."""

import os
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Its own threads would compete with the server's, and deadlock after a fork.
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Encoding as TokenizerEncoding
from tokenizers import Tokenizer
from tokenizers.normalizers import NFC

from service.errors import InvalidInput
from service.tasks.words import known_words, with_rules_in_linear_time

# Python puts marks of one letter in order in a time that grows as the square of their number, but
# takes a tenth of the time for what people write.
LONG = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """Token ids, [T], int64; `truncated` when the text had more than fit.

    `unknown` of them stand for what the vocabulary lacks; None when it can write everything.
    """

    ids: NDArray[np.int64]
    truncated: bool
    unknown: int | None = None


class TextTokenizer:
    """A tokenizer that nothing changes once it is open, hence safe to share between threads."""

    def __init__(self, tokenizer_json: bytes) -> None:
        """Raises ValueError when these bytes are no tokenizer."""
        try:
            given = Tokenizer.from_buffer(tokenizer_json)
            self._tokenizer = with_rules_in_linear_time(given)
        except Exception as error:  # the bindings raise bare Exception
            raise ValueError(f"not a tokenizer: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # a text that spells out "</s>" is a text about it, not the end of the sentence
        self._tokenizer.encode_special_tokens = True
        self._added = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown_id = None if unknown is None else self._tokenizer.token_to_id(unknown)
        self._words = known_words(given)

    @property
    def vocabulary(self) -> int:
        """How many different ids there are."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str, max_tokens: int) -> Encoding:
        """The ids of the text's beginning, at most `max_tokens` with those the tokenizer adds."""
        room = max_tokens - self._added
        if self._added:
            encoding = self._encode(text)
            truncated = len(encoding) > room
            if truncated:
                encoding.truncate(room)
            ids = np.array(self._tokenizer.post_process(encoding).ids, np.int64)
        else:
            whole = self.plain_ids(text)
            ids, truncated = whole[:room], len(whole) > room
        unknown = None
        if self._unknown_id is not None:
            unknown = int(np.count_nonzero(ids == self._unknown_id))
        return Encoding(ids, truncated, unknown)

    def plain_ids(self, text: str) -> NDArray[np.int64]:
        """All ids of the text, [T], without those that the tokenizer would add."""
        ids = self._words.ids(text) if self._words is not None else None
        return np.array(self._encode(text).ids, np.int64) if ids is None else ids

    def _encode(self, text: str) -> TokenizerEncoding:
        # a sixth faster than `encode`: it does not tell where in the text each token was
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        return encoding

    def token_id(self, token: str) -> int | None:
        """The id of exactly this token; None if the vocabulary has none such."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def decode(self, ids: list[int]) -> str:
        """The text of these ids; special tokens are left out."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


def require_whole_characters(text: str) -> None:
    """Raise InvalidInput for a text with half a character, which UTF-8 cannot write."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"The text holds half a character (a lone surrogate) at position {error.start}. "
            "Send text that can be written as UTF-8."
        ) from None


def clean(text: str) -> str:
    """The text in Unicode form NFC; InvalidInput when it holds half a character."""
    if text.isascii():
        return text
    require_whole_characters(text)
    if len(text) <= LONG:
        return unicodedata.normalize("NFC", text)
    composed: str = NFC().normalize_str(text)
    return composed

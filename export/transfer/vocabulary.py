"""An embedding for another vocabulary: each new token begins as the mean of those that spell it.

V tokens of the old vocabulary, W of the new one, D width.
"""

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from export.transfer.errors import TransferError


@dataclass(frozen=True)
class Respelling:
    """From one byte-level BPE to another; both must know every byte."""

    old: Tokenizer
    new: Tokenizer

    def rows(self, table: Tensor, size: int) -> Tensor:
        """[V, ...] -> [size, ...], where `size` >= W; what no token has stays zero."""
        found = torch.zeros(size, *table.shape[1:], dtype=table.dtype)
        for token, place in self.new.get_vocab().items():
            found[place] = table[self._spelt(token)].mean(0)
        return found

    def _spelt(self, token: str) -> list[int]:
        """The old tokens that make up a new one; of special tokens the one of that name."""
        known = self.old.token_to_id(token)
        if known is not None:
            return [known]
        parts = [part.id for part in self.old.model.tokenize(token)]
        if not parts:
            raise TransferError(f"the old vocabulary cannot spell {token!r}")
        return parts

"""Networks over subwords for classifying text. Right whatever the padding.

Shapes: N texts, T tokens, E embedding width, F features of a token, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.kinds import TextKind
from export.networks.ngrams import NgramVotes
from export.networks.readers import Convolutions, Recurrent

LOWEST = -1.0  # no state and no rectified feature is ever lower


@dataclass(frozen=True)
class TextConfig:
    """`kind` says what reads the tokens; `hidden` is the width of one direction or one kernel."""

    vocabulary: int
    classes: int
    kind: TextKind = "lstm"
    embedding: int = 128
    hidden: int = 128
    kernels: tuple[int, ...] = (3, 5)
    embedding_dropout: float = 0.5
    word_dropout: float = 0.1
    head_dropout: float = 0.5
    pad_id: int = 0
    unknown_id: int = 1


class TextNetwork(nn.Module):
    """Ids int64 [N, T], padded at the end -> logits float32 [N, K].

    What the reader makes of the real tokens is pooled twice, by maximum and by mean. `votes` is
    None while the network trains, and may then add the opinion of a linear model over n-grams.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.embedding)
        if config.kind == "cnn":
            self.reader: nn.Module = Convolutions(config.embedding, config.hidden, config.kernels)
        else:
            self.reader = Recurrent(config.kind, config.embedding, config.hidden)
        self.head_dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(2 * self.reader.features, config.classes)
        self.votes: NgramVotes | None = None
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(self, ids_NT: Tensor, nudge_NTE: Tensor | None = None) -> Tensor:
        """nudge: added to the embedded tokens, for training against noise."""
        real_NT = ids_NT != self.config.pad_id
        real_NT1, lengths_N = real_NT[..., None], real_NT.sum(1)
        x_NTE = self._embed(ids_NT)
        states_NTF = self.reader(x_NTE if nudge_NTE is None else x_NTE + nudge_NTE, real_NT)
        highest = states_NTF.masked_fill(~real_NT1, LOWEST).amax(1)
        mean = (states_NTF * real_NT1).sum(1) / lengths_N[:, None]
        logits_NK: Tensor = self.head(self.head_dropout(torch.cat([highest, mean], dim=1)))
        return logits_NK if self.votes is None else logits_NK + self.votes(ids_NT, real_NT)

    def _embed(self, ids_NT: Tensor) -> Tensor:
        if self.training and self.config.word_dropout:
            drawn_NT = torch.rand(ids_NT.shape, device=ids_NT.device)
            lost_NT = (drawn_NT < self.config.word_dropout) & (ids_NT != self.config.pad_id)
            ids_NT = ids_NT.masked_fill(lost_NT, self.config.unknown_id)
        x_NTE = self.embedding(ids_NT)
        # The same features are dropped at all positions of a text (Gal 2016, arXiv:1512.05287).
        keep_N1E = functional.dropout(
            x_NTE.new_ones(len(x_NTE), 1, x_NTE.shape[2]),
            self.config.embedding_dropout,
            self.training,
        )
        return x_NTE * keep_N1E

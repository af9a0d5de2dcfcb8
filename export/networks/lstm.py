"""A bidirectional LSTM over subwords for classifying text. Right whatever the padding.

Shapes: N texts, T tokens, E embedding width, D hidden width of one direction, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class LstmConfig:
    vocabulary: int
    classes: int
    embedding: int = 128
    hidden: int = 128
    embedding_dropout: float = 0.3
    word_dropout: float = 0.05
    head_dropout: float = 0.5
    pad_id: int = 0
    unknown_id: int = 1


class BiLstm(nn.Module):
    """Ids int64 [N, T], padded at the end -> logits float32 [N, K].

    Each direction is its own LSTM; the reverse one reads every text from its true end. The
    outputs of real tokens are pooled twice, by maximum and by mean.
    """

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.embedding)
        self.forward_lstm = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.reverse_lstm = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.head_dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(4 * config.hidden, config.classes)
        nn.init.normal_(self.embedding.weight, std=0.1)
        for lstm in (self.forward_lstm, self.reverse_lstm):
            _initialise(lstm)

    def forward(self, ids_NT: Tensor) -> Tensor:
        real_NT = ids_NT != self.config.pad_id
        lengths_N = real_NT.sum(1)
        x_NTE = self._embed(ids_NT)
        ahead_NTD = self.forward_lstm(x_NTE)[0]
        turned = reversal(lengths_N, ids_NT.shape[1])[..., None]
        back_NTD = self.reverse_lstm(x_NTE.gather(1, turned.expand_as(x_NTE)))[0]
        states_NTD = torch.cat([ahead_NTD, back_NTD.gather(1, turned.expand_as(back_NTD))], dim=2)
        mask_NT1 = real_NT[..., None]
        highest = states_NTD.masked_fill(~mask_NT1, -1.0).amax(1)  # tanh never goes below -1
        mean = (states_NTD * mask_NT1).sum(1) / lengths_N[:, None]
        logits_NK: Tensor = self.head(self.head_dropout(torch.cat([highest, mean], dim=1)))
        return logits_NK

    def _embed(self, ids_NT: Tensor) -> Tensor:
        if self.training and self.config.word_dropout:
            lost = (torch.rand(ids_NT.shape) < self.config.word_dropout) & (
                ids_NT != self.config.pad_id
            )
            ids_NT = ids_NT.masked_fill(lost, self.config.unknown_id)
        x_NTE = self.embedding(ids_NT)
        # The same features are dropped at all positions of a text (Gal 2016, arXiv:1512.05287).
        keep_N1E = functional.dropout(
            x_NTE.new_ones(len(x_NTE), 1, x_NTE.shape[2]),
            self.config.embedding_dropout,
            self.training,
        )
        return x_NTE * keep_N1E


def reversal(lengths_N: Tensor, tokens: int) -> Tensor:
    """Indices [N, T] that turn the first `length` tokens around and leave padding in place."""
    position_1T = torch.arange(tokens)[None]
    turned_NT = lengths_N[:, None] - 1 - position_1T
    return torch.where(turned_NT >= 0, turned_NT, position_1T)


def _initialise(lstm: nn.LSTM) -> None:
    """Orthogonal recurrence; forget gates start open (Jozefowicz et al. 2015)."""
    hidden = lstm.hidden_size
    with torch.no_grad():
        for name, weight in lstm.named_parameters():
            if name.startswith("weight_hh"):
                for gate in weight.split(hidden):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)
            else:
                weight.zero_()
        lstm.get_parameter("bias_ih_l0")[hidden : 2 * hidden] = 1.0

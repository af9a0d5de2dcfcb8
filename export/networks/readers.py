"""What may read a text, token by token or in windows; none of them sees the padding.

Shapes: N texts, T tokens, E embedding width, F features of a token.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """Both directions over [N, T, E] -> [N, T, F], F twice `hidden`.

    Each direction is a network of its own; the reverse one reads every text from its true end.
    """

    def __init__(self, cell: Literal["lstm", "gru"], embedding: int, hidden: int) -> None:
        super().__init__()
        self.features = 2 * hidden
        self.ahead = CELLS[cell](embedding, hidden, batch_first=True)
        self.back = CELLS[cell](embedding, hidden, batch_first=True)
        for direction in (self.ahead, self.back):
            _initialise(direction)

    def forward(self, x_NTE: Tensor, real_NT: Tensor) -> Tensor:
        ahead_NTD = self.ahead(x_NTE)[0]
        turned = reversal(real_NT.sum(1), x_NTE.shape[1])[..., None]
        back_NTD = self.back(x_NTE.gather(1, turned.expand_as(x_NTE)))[0]
        return torch.cat([ahead_NTD, back_NTD.gather(1, turned.expand_as(back_NTD))], dim=2)


class Convolutions(nn.Module):
    """Rectified features of windows around each token (Kim 2014), [N, T, E] -> [N, T, F].

    `kernels` are odd window sizes in tokens, each with `filters` features; F is their total.
    """

    def __init__(self, embedding: int, filters: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.features = filters * len(kernels)
        self.windows = nn.ModuleList(
            nn.Conv1d(embedding, filters, size, padding=size // 2) for size in kernels
        )

    def forward(self, x_NTE: Tensor, real_NT: Tensor) -> Tensor:
        x_NET = (x_NTE * real_NT[..., None]).transpose(1, 2)
        seen_NFT = torch.cat([functional.relu(window(x_NET)) for window in self.windows], dim=1)
        return seen_NFT.transpose(1, 2)


def reversal(lengths_N: Tensor, tokens: int) -> Tensor:
    """Indices [N, T] that turn the first `length` tokens around and leave padding in place."""
    position_1T = torch.arange(tokens, device=lengths_N.device)[None]
    turned_NT = lengths_N[:, None] - 1 - position_1T
    return torch.where(turned_NT >= 0, turned_NT, position_1T)


def _initialise(cell: nn.RNNBase) -> None:
    """Orthogonal recurrence; an LSTM's forget gates start open (Jozefowicz et al. 2015)."""
    hidden = cell.hidden_size
    with torch.no_grad():
        for name, weight in cell.named_parameters():
            if name.startswith("weight_hh"):
                for gate in weight.split(hidden):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)
            else:
                weight.zero_()
        if cell.mode == "LSTM":
            cell.get_parameter("bias_ih_l0")[hidden : 2 * hidden] = 1.0

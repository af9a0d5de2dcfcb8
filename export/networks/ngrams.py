"""A linear model over runs of one, two and three tokens, kept in a hashed table.

Shapes: N texts, T tokens, B buckets, C columns, K classes. With two classes one column is
enough: it votes for the second and against the first.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

LONGEST = 3
STRIDE = 1_296_091  # spreads neighbouring ids; its product with any bucket fits into 64 bits


class NgramVotes(nn.Module):
    """Ids int64 [N, T] -> votes float32 [N, K]: what all runs say, over the root of their number.

    The root keeps a page from being more certain than ten sentences of it would be.
    """

    table: Tensor

    def __init__(self, table_BC: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table_BC.float())

    def forward(self, ids_NT: Tensor, real_NT: Tensor) -> Tensor:
        found = runs(ids_NT, real_NT, len(self.table))
        said_NC = [(self.table[bucket] * whole[..., None]).sum(1) for bucket, whole in found]
        count_N1 = sum(whole.sum(1, keepdim=True) for _, whole in found)
        votes_NC = sum(said_NC) / torch.sqrt(count_N1)
        return votes_NC if self.table.shape[1] > 1 else torch.cat([-votes_NC, votes_NC], dim=1)


def runs(ids_NT: Tensor, real_NT: Tensor, buckets: int) -> list[tuple[Tensor, Tensor]]:
    """For each length from one to LONGEST: the bucket of the run that starts at each token, and
    whether that run lies wholly within the text; both [N, T].

    A bucket is a number below `buckets`, best a prime; the same arithmetic is in
    export/convert/text_graph.py.
    """
    tokens = ids_NT.shape[1]
    ids = functional.pad(ids_NT + 1, (0, LONGEST - 1))
    real = functional.pad(real_NT, (0, LONGEST - 1))
    found, bucket_NT = [], torch.zeros_like(ids_NT)
    for step in range(LONGEST):
        bucket_NT = (bucket_NT * STRIDE + ids[:, step : step + tokens]) % buckets
        found.append((bucket_NT, real[:, step : step + tokens]))
    return found

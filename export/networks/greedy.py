"""Greedy decoding in torch, without any cache: slow and plain, the yardstick for the graphs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from export.networks.transformer import Transformer


@dataclass(frozen=True)
class Decoded:
    """Target ids without the end, and the mean log-probability of a token, the end included."""

    ids: tuple[int, ...]
    score: float


@torch.no_grad()
def decode_greedily(
    network: Transformer, source_T: Tensor, *, bos_id: int, eos_id: int, most: int
) -> Decoded:
    """The best next token, again and again, for one source sentence [T] that ends in EOS."""
    memory_NSD, keep = network.encode(source_T[None])
    ids, total = [bos_id], 0.0
    while len(ids) <= most:
        logits_V = network.decode(memory_NSD, keep, torch.tensor([ids]))[0, -1]
        best = int(logits_V.argmax())
        total += float(torch.log_softmax(logits_V, 0)[best])
        if best == eos_id:
            return Decoded(tuple(ids[1:]), total / len(ids))
        ids.append(best)
    return Decoded(tuple(ids[1:]), total / (len(ids) - 1))

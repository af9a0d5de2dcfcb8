"""Cross entropy of texts, also where each text is nudged against the network.

Adversarial training on embeddings: Miyato et al. 2017, arXiv:1605.07725. N texts, T tokens, E
embedding width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.text import TextNetwork

TextBatch = tuple[Tensor, Tensor]
SMALLEST = 1e-12  # a text that nothing depends on has no worst direction, and gets no nudge


def plain_loss(
    network: nn.Module, batch: TextBatch, smoothing: float, nudge_NTE: Tensor | None = None
) -> Tensor:
    """Mean cross entropy of ids [N, T] against classes [N], with label smoothing."""
    ids_NT, target_N = batch
    logits_NK = network(ids_NT) if nudge_NTE is None else network(ids_NT, nudge_NTE)
    return functional.cross_entropy(logits_NK.float(), target_N, label_smoothing=smoothing)


def adversarial_loss(
    network: TextNetwork, batch: TextBatch, smoothing: float, share: float
) -> Tensor:
    """Half the plain loss and half that of the same texts, each nudged its worst way.

    `share`: length of a nudge, as a share of that of the text's own embedded tokens. The plain half
    goes back through the network here, since that also finds the worst direction: the caller's
    `backward` adds the other half to the gradients that are there already.
    """
    ids_NT = batch[0]
    real_NT1 = (ids_NT != network.config.pad_id)[..., None]
    embedded_NTE = network.embedding(ids_NT).detach() * real_NT1
    nothing_NTE = torch.zeros_like(embedded_NTE, requires_grad=True)
    plain = plain_loss(network, batch, smoothing, nothing_NTE) / 2
    plain.backward()
    assert nothing_NTE.grad is not None
    nudge_NTE = worst_nudge(nothing_NTE.grad, embedded_NTE, share)
    return plain.detach() + plain_loss(network, batch, smoothing, nudge_NTE) / 2


def worst_nudge(slope_NTE: Tensor, embedded_NTE: Tensor, share: float) -> Tensor:
    """Each text's slope of the loss, made as long as this share of the text itself."""
    return slope_NTE * (share * _length(embedded_NTE) / _length(slope_NTE))


def _length(x_NTE: Tensor) -> Tensor:
    """Euclidean length of each text's [T, E], as [N, 1, 1]."""
    return x_NTE.flatten(1).norm(dim=1)[:, None, None].clamp_min(SMALLEST)

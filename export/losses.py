"""Cross entropy of a large vocabulary without ever holding all logits in memory.

Shapes: N tokens, D width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from export.devices import full_precision

CHUNK = 256  # tokens; 256 x 8192 logits stay in a processor's last-level cache


class _LinearCrossEntropy(torch.autograd.Function):
    """The gradient is cheapest while the logits are at hand, so `forward` computes both."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor,
        target_N: Tensor,
        eps: float,
        products: torch.dtype,
    ) -> Tensor:
        count, vocabulary = len(target_N), len(weight_VD)
        mean_D, mean = weight_VD.mean(0), bias_V.mean()
        grad_hidden = torch.empty_like(hidden_ND)
        grad_weight, grad_bias = torch.zeros_like(weight_VD), torch.zeros_like(bias_V)
        loss = hidden_ND.new_zeros(())
        table_VD = weight_VD.to(products)
        for start in range(0, count, CHUNK):
            hidden, target = hidden_ND[start : start + CHUNK], target_N[start : start + CHUNK, None]
            narrow = hidden.to(products)
            scores = (narrow @ table_VD.T).to(bias_V.dtype).add_(bias_V)
            chosen = scores.gather(1, target)
            highest = scores.amax(1, keepdim=True)
            total = scores.sub_(highest).exp_().sum(1, keepdim=True)
            level = total.log() + highest
            average = (hidden @ mean_D)[:, None] + mean
            loss += (level - (1 - eps) * chosen - eps * average).sum()
            gradient = scores.mul_(1 / (total * count)).sub_(eps / vocabulary / count)
            gradient.scatter_add_(1, target, torch.full_like(chosen, -(1 - eps) / count))
            grad_bias += gradient.sum(0)
            gradient = gradient.to(products)
            grad_hidden[start : start + CHUNK] = gradient @ table_VD
            grad_weight += gradient.T @ narrow
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return loss / count

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = ctx.saved_tensors
        return hidden * outer[0], weight * outer[0], bias * outer[0], None, None, None


def linear_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, target_N: Tensor, smoothing: float
) -> Tensor:
    """Mean label-smoothed cross entropy of `hidden @ weight.T + bias` against int64 targets.

    Equal to `cross_entropy(linear(...), target, label_smoothing=smoothing)` up to rounding; under
    autocast the products alone are in its precision.
    """
    device = hidden_ND.device
    mixed = torch.is_autocast_enabled(device.type)
    products = torch.get_autocast_dtype(device.type) if mixed else weight_VD.dtype
    with full_precision(device):
        loss: Tensor = _LinearCrossEntropy.apply(
            hidden_ND.to(weight_VD.dtype), weight_VD, bias_V, target_N, smoothing, products
        )
    return loss

"""Muon: momentum whose update is made orthogonal, so that all directions of a matrix learn."""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

from export.devices import product_dtype

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """For weight matrices and convolutions (Jordan 2024, https://kellerjordan.github.io/posts/muon).

    Updates are scaled to the size of Adam's (Liu et al. 2025, arXiv:2502.16982), so that one
    learning rate suits both. A convolution counts as the matrix [filters, all that a filter sees].
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Any = None) -> float | None:
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._step_one(matrix, group)
        return None

    def _step_one(self, matrix: nn.Parameter, group: dict[str, Any]) -> None:
        assert matrix.grad is not None
        state = self.state[matrix]
        momentum = state.setdefault("momentum", torch.zeros_like(matrix))
        momentum.lerp_(matrix.grad, 1 - group["momentum"])
        flat = matrix.grad.lerp(momentum, group["momentum"]).flatten(1)
        update = orthogonalised(flat.to(product_dtype(flat.device))).to(matrix.dtype)
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(update.view_as(matrix), alpha=-group["lr"] * 0.2 * max(flat.shape) ** 0.5)


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """The matrix with all its singular values moved near one, by Newton-Schulz iteration.

    In the precision of the matrix; bf16 is enough.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def split_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices for Muon; embeddings, biases and norms for Adam."""
    tables = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding)}
    learnt = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in learnt if p.ndim == 2 and id(p) not in tables]
    chosen = {id(p) for p in matrices}
    return matrices, [p for p in learnt if id(p) not in chosen]

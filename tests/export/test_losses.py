from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from export.losses import CHUNK, linear_cross_entropy

WIDTH, VOCABULARY = 5, 11


def example(tokens: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Double precision, so that the two ways agree to many digits."""
    generator = torch.Generator().manual_seed(tokens)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    target_N = torch.randint(VOCABULARY, (tokens,), generator=generator)
    return draw(tokens, WIDTH), draw(VOCABULARY, WIDTH), draw(VOCABULARY), target_N


def plain(hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, smoothing: float) -> Tensor:
    logits_NV = functional.linear(hidden, weight, bias)
    return functional.cross_entropy(logits_NV, target, label_smoothing=smoothing)


def loss_and_gradients(
    loss: Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor],
    tokens: int,
    smoothing: float,
    factor: float = 1.0,
) -> list[Tensor]:
    hidden, weight, bias, target = example(tokens)
    value = loss(hidden, weight, bias, target, smoothing)
    (factor * value).backward()
    return [value.detach(), *(x.grad for x in (hidden, weight, bias) if x.grad is not None)]


@pytest.mark.parametrize("tokens", [1, 7, CHUNK, CHUNK + 1, 2 * CHUNK + 37])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradients_are_those_of_torch_however_many_tokens(
    tokens: int, smoothing: float
) -> None:
    expected = loss_and_gradients(plain, tokens, smoothing)
    found = loss_and_gradients(linear_cross_entropy, tokens, smoothing)
    assert len(found) == 4
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_gradients_grow_with_what_the_loss_is_multiplied_by() -> None:
    expected = loss_and_gradients(plain, 9, 0.1, factor=-2.5)
    found = loss_and_gradients(linear_cross_entropy, 9, 0.1, factor=-2.5)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_gradients_agree_with_small_differences_of_the_loss() -> None:
    hidden, weight, bias, target = example(4)

    def loss(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return linear_cross_entropy(hidden, weight, bias, target, 0.1)

    assert torch.autograd.gradcheck(loss, (hidden, weight, bias))


def test_large_logits_do_not_overflow() -> None:
    hidden, weight = torch.full((3, WIDTH), 1000.0), torch.eye(VOCABULARY, WIDTH)
    bias = torch.zeros(VOCABULARY)
    target = torch.tensor([0, 1, 10])
    found = linear_cross_entropy(hidden, weight, bias, target, 0.0)
    expected = plain(hidden, weight, bias, target, 0.0)
    assert torch.isfinite(found)
    torch.testing.assert_close(found, expected)


def test_mixed_precision_rounds_products_and_sums_exactly() -> None:
    torch.manual_seed(0)
    rows, vocabulary = 9 + 4 * CHUNK, 20
    hidden, weight = torch.randn(rows, 8), torch.randn(vocabulary, 8)
    bias, target = torch.randn(vocabulary), torch.randint(0, vocabulary, (rows,))
    results = []
    for mixed in (False, True):
        h, w, b = (x.clone().requires_grad_() for x in (hidden, weight, bias))
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = linear_cross_entropy(h, w, b, target, 0.1)
        loss.backward()
        results.append([loss.detach(), *(x.grad for x in (h, w, b) if x.grad is not None)])
    exact, found = results
    assert all(one.dtype == torch.float32 for one in found)
    for wanted, got in zip(exact, found, strict=True):
        apart = float((got - wanted).norm() / wanted.norm())
        assert 0 < apart < 0.01

import pytest
import torch
from torch import Tensor, nn

from export.optimizers import Muon, orthogonalised, split_parameters


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same digits on every processor; a test that wants bf16 says so."""
    monkeypatch.setattr("export.optimizers.product_dtype", lambda device: torch.float32)


@pytest.mark.parametrize("shape", [(8, 8), (20, 6), (6, 20)])
def test_all_directions_get_about_the_same_size(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(*shape)
    matrix[:, 0] *= 30  # one direction far stronger than the others
    result = orthogonalised(matrix)
    assert result.shape == matrix.shape
    sizes = torch.linalg.svdvals(result)
    before = torch.linalg.svdvals(matrix)
    assert before.max() / before.min() > 20
    assert sizes.min() > 0.3
    assert sizes.max() < 1.3


def test_the_directions_themselves_stay() -> None:
    torch.manual_seed(1)
    matrix = torch.randn(6, 9)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ orthogonalised(matrix) @ right.T
    torch.testing.assert_close(turned, torch.diag(turned.diagonal()), rtol=0, atol=1e-4)
    assert (turned.diagonal() > 0).all()


def test_a_step_follows_the_gradients_before_it_too() -> None:
    def moved(*gradients: Tensor) -> Tensor:
        weight = nn.Parameter(torch.zeros(4, 4))
        optimizer = Muon([weight], lr=0.1)
        for gradient in gradients:
            before = weight.detach().clone()
            weight.grad = gradient.clone()
            optimizer.step()
        return weight.detach() - before

    torch.manual_seed(3)
    past, now = torch.randn(4, 4), torch.randn(4, 4)
    assert not torch.allclose(moved(20 * past, now), moved(now), atol=1e-3)


def test_a_gradient_of_zeros_moves_nothing() -> None:
    assert not orthogonalised(torch.zeros(3, 4)).any()


def loss_of(weight: Tensor) -> Tensor:
    """Badly scaled: one input is a hundred times the other."""
    inputs = torch.tensor([[100.0, 0, 0], [0, 1.0, 0], [0, 0, 10.0]])
    return ((inputs @ weight - inputs) ** 2).mean()


def test_muon_lowers_a_badly_scaled_loss() -> None:
    weight = nn.Parameter(torch.zeros(3, 3))
    optimizer = Muon([weight], lr=0.05, momentum=0.5)
    first = float(loss_of(weight.detach()))
    for _ in range(100):
        optimizer.zero_grad()
        loss_of(weight).backward()
        optimizer.step()
    assert float(loss_of(weight.detach())) < 0.02 * first


def test_a_step_has_the_size_of_its_rate_whatever_the_gradient() -> None:
    torch.manual_seed(2)
    moves = []
    gradient = torch.randn(4, 16)
    for scale in (1e-3, 1e3):
        weight = nn.Parameter(torch.zeros(4, 16))
        weight.grad = scale * gradient
        Muon([weight], lr=0.1).step()
        moves.append(weight.detach())
    torch.testing.assert_close(moves[0], moves[1], rtol=1e-3, atol=1e-5)
    # the size of Adam's: about a fifth of the rate an entry
    assert float(moves[0].square().mean().sqrt()) == pytest.approx(0.2 * 0.1, rel=0.3)


def test_half_precision_takes_nearly_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(4)
    gradient, moves = torch.randn(12, 40), []
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr("export.optimizers.product_dtype", lambda device, d=dtype: d)
        weight = nn.Parameter(torch.zeros(12, 40))
        weight.grad = gradient.clone()
        Muon([weight], lr=0.1).step()
        assert weight.dtype == torch.float32
        moves.append(weight.detach())
    apart = (moves[0] - moves[1]).norm() / moves[0].norm()
    assert 0 < apart < 0.05


def test_weight_decay_shrinks_what_has_no_gradient_to_follow() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.zeros(2, 2)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), 0.95))


def test_what_has_no_gradient_is_left_alone() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert (weight.detach() == 1).all()


def test_momentum_survives_a_round_through_a_checkpoint() -> None:
    def run(optimizer: Muon, weight: nn.Parameter, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(weight).backward()
            optimizer.step()

    whole, halves = (nn.Parameter(torch.eye(3)) for _ in range(2))
    run(Muon([whole], lr=0.05), whole, 6)
    first = Muon([halves], lr=0.05)
    run(first, halves, 3)
    second = Muon([halves], lr=0.05)
    second.load_state_dict(first.state_dict())
    run(second, halves, 3)
    assert torch.equal(whole, halves)


def test_matrices_go_to_muon_and_all_else_to_adam() -> None:
    network = nn.ModuleDict(
        {
            "embedding": nn.Embedding(7, 4),
            "linear": nn.Linear(4, 3),
            "norm": nn.LayerNorm(3),
            "convolution": nn.Conv2d(1, 2, 3),
            "frozen": nn.Linear(2, 2),
        }
    )
    network["frozen"].requires_grad_(False)
    matrices, others = split_parameters(network)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert [names[id(p)] for p in matrices] == ["linear.weight"]
    assert [names[id(p)] for p in others] == [
        "embedding.weight",
        "linear.bias",
        "norm.weight",
        "norm.bias",
        "convolution.weight",
        "convolution.bias",
    ]


def test_a_convolution_moves_as_the_matrix_of_its_filters_does() -> None:
    torch.manual_seed(5)
    start, gradient = torch.randn(6, 2, 3, 3), torch.randn(6, 2, 3, 3)
    found = []
    for shape in ((6, 2, 3, 3), (6, 18)):
        weight = nn.Parameter(start.reshape(shape).clone())
        weight.grad = gradient.reshape(shape).clone()
        Muon([weight], lr=0.1).step()
        found.append(weight.detach().reshape(6, 18))
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(found[0], start.reshape(6, 18), atol=1e-3)

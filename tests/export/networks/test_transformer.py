import pytest
import torch
from torch import Tensor

from export.networks.greedy import decode_greedily
from export.networks.transformer import attend, sinusoids
from tests.export.tiny_networks import BOS, EOS, PAD, TRANSLATIONS, sentences, transformer


def padded(*lengths: int, seed: int = 0) -> Tensor:
    rows = [torch.from_numpy(row) for row in sentences(lengths, seed)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


@torch.no_grad()
def test_a_sentence_has_the_same_logits_alone_and_padded() -> None:
    network, source, target = transformer(), padded(4, 11), padded(6, 6, seed=1)
    together = network(source, target)
    assert together.shape == (2, 6, TRANSLATIONS.vocabulary)
    torch.testing.assert_close(network(source[:1, :4], target[:1]), together[:1])
    torch.testing.assert_close(network(source[1:], target[1:]), together[1:])


@pytest.mark.parametrize("kept", [(5, 3, 1), None], ids=["padded", "causal"])
def test_attention_in_half_precision_is_that_of_torch(kept: tuple[int, ...] | None) -> None:
    torch.manual_seed(0)
    keep, gradient = None, torch.randn(3, 2, 5, 4)
    if kept is not None:
        keep = (torch.arange(5) < torch.tensor(kept)[:, None])[:, None, None]
    whole = [torch.randn(3, 2, 5, 4).bfloat16().float() for _ in range(3)]
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        inputs = [x.clone().to(dtype).detach().requires_grad_() for x in whole]
        query, key, value = inputs
        mixed = attend(query, key, value, keep)
        assert mixed.dtype == dtype
        mixed.backward(gradient.to(dtype))
        grads = [x.grad.float() for x in inputs if x.grad is not None]
        results.append([mixed.detach().float(), *grads])
    assert len(results[0]) == 4
    for exact, found in zip(*results, strict=True):
        assert float((found - exact).norm() / exact.norm()) < 0.02


@torch.no_grad()
def test_a_token_does_not_see_those_after_it() -> None:
    network, source, target = transformer(), padded(5), padded(7, seed=1)
    changed = target.clone()
    changed[0, 4:] = 9
    before, after = network(source, target), network(source, changed)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4:], before[:, 4:], atol=1e-3)


@torch.no_grad()
def test_every_source_token_is_seen_and_its_place_too() -> None:
    network, target = transformer(), padded(3, seed=1)
    source = padded(6)
    plain = network(source, target)
    for place in range(6):
        other = source.clone()
        other[0, place] = 100 if int(source[0, place]) != 100 else 101
        assert not torch.allclose(network(other, target), plain, atol=1e-3)
    turned = source[:, [1, 0, 2, 3, 4, 5]]
    assert not torch.allclose(network(turned, target), plain, atol=1e-3)


def test_positions_are_sines_then_cosines_of_falling_rates() -> None:
    table = sinusoids(50, 8)
    assert table.shape == (50, 8)
    torch.testing.assert_close(table[0], torch.tensor([0.0] * 4 + [1.0] * 4))
    torch.testing.assert_close(table[:, 0], torch.sin(torch.arange(50.0)))
    torch.testing.assert_close(table[:, 7], torch.cos(torch.arange(50.0) / 1000))


def greedy(ends: float, *, most: int = 20, length: int = 7) -> tuple[tuple[int, ...], float]:
    source = torch.from_numpy(sentences([length])[0])
    found = decode_greedily(transformer(ends=ends), source, bos_id=BOS, eos_id=EOS, most=most)
    return found.ids, found.score


def test_greedy_decoding_stops_at_its_limit() -> None:
    ids, _ = greedy(ends=-20.0, most=5)
    assert len(ids) == 5
    assert EOS not in ids


def test_greedy_decoding_leaves_the_end_token_out() -> None:
    ids, score = greedy(ends=50.0)
    assert ids == ()
    assert score == pytest.approx(0.0, abs=1e-4)


@torch.no_grad()
def test_the_score_is_the_mean_log_probability_with_the_end() -> None:
    network = transformer()
    source = torch.from_numpy(sentences([1, 2, 3, 7, 12, 5, 20])[6])
    found = decode_greedily(network, source, bos_id=BOS, eos_id=EOS, most=40)
    assert 5 < len(found.ids) < 40  # else nothing was tested
    said = torch.tensor([[BOS, *found.ids]])
    logs = torch.log_softmax(network(source[None], said)[0], dim=1)
    assert logs.argmax(1).tolist() == [*found.ids, EOS]
    assert found.score == pytest.approx(float(logs.amax(1).mean()), abs=1e-5)

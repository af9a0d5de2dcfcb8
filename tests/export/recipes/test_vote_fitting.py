import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.recipes.vote_fitting import best_share, fit_votes, votes_of
from tests.export.tiny_networks import Ids

BUCKETS = 4093


def sayings(count: int, seed: int) -> tuple[list[Ids], NDArray[np.int64]]:
    """Filler with one pair in it; the order of the pair alone tells the class."""
    generator = np.random.default_rng(seed)
    texts, labels = [], generator.integers(0, 2, count)
    for label in labels:
        filler = generator.integers(10, 60, generator.integers(4, 12))
        pair = [5, 6] if label else [6, 5]
        place = generator.integers(len(filler) + 1)
        texts.append(np.insert(filler, place, pair))
    return texts, labels


@pytest.mark.parametrize("classes", [2, 3])
def test_what_only_a_run_of_two_tells_is_learnt(classes: int) -> None:
    texts, labels = sayings(300, 0)
    if classes == 3:
        texts = [*texts, *[np.array([7, 8, 9])] * 50]
        labels = np.append(labels, [2] * 50)
    table = fit_votes(texts, labels, classes, BUCKETS)
    assert table.shape == (BUCKETS, 1 if classes == 2 else 3)
    unseen, truth = sayings(200, 1)
    found = votes_of(table, unseen).argmax(1).numpy()
    assert (found == truth).mean() > 0.95


def test_the_share_is_none_where_votes_only_disturb_and_large_where_they_know_all() -> None:
    labels = torch.arange(200) % 2
    right = 3 * (2 * torch.nn.functional.one_hot(labels, 2).float() - 1)
    noise = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    truth, guess = {"a": right}, {"a": noise}
    assert best_share(truth, guess, {"a": labels}) == 0
    assert best_share(guess, truth, {"a": labels}) >= 1


def test_every_set_counts_the_same_however_small() -> None:
    """Votes help many rows a little, and lead the few of another set astray."""
    many, few = torch.zeros(400, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    logits = {"many": torch.tensor([[2.0, 0.0]] * 400), "few": torch.tensor([[0.0, 2.0]] * 4)}
    votes = {"many": torch.tensor([[0.5, 0.0]] * 400), "few": torch.tensor([[5.0, 0.0]] * 4)}
    assert best_share(logits, votes, {"many": many, "few": few}) == 0

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from export.recipes.word_vectors import SPREAD, word_vectors
from tests.export.tiny_networks import Ids

FIRST, SECOND = (10, 11), (12, 13)  # two pairs of words: either of a pair may stand for the other
AROUND = {FIRST: (20, 21, 22), SECOND: (30, 31, 32)}


def texts(count: int = 300) -> list[Ids]:
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        pair, near = list(AROUND.items())[generator.integers(2)]
        words = [*generator.permutation(near), generator.choice(pair), *generator.permutation(near)]
        rows.append(np.array(words, np.int64))
    return rows


def test_words_among_the_same_neighbours_get_like_vectors() -> None:
    found = word_vectors(texts(), vocabulary=40, width=8, seed=1)
    alike = cosine_similarity(found[FIRST[0]], found[FIRST[1]], dim=0)
    other = cosine_similarity(found[FIRST[0]], found[SECOND[0]], dim=0)
    assert alike > 0.8
    assert other < 0.3


def test_all_tokens_get_a_vector_of_the_usual_size() -> None:
    found = word_vectors(texts(), vocabulary=40, width=8, seed=1)
    assert found.shape == (40, 8)
    assert torch.isfinite(found).all()
    assert (found.norm(dim=1) > 0).all()
    assert 0.3 * SPREAD < found.std() < 3 * SPREAD


def test_the_same_seed_gives_the_same_vectors_and_chance_elsewhere_goes_on_undisturbed() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = word_vectors(texts(), 40, 8, seed=1)
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(first, word_vectors(texts(), 40, 8, seed=1))


def test_a_width_above_the_vocabulary_is_filled_up() -> None:
    assert word_vectors(texts(20), vocabulary=40, width=64, seed=1).shape == (40, 64)

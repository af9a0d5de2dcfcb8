"""First word vectors, counted from the training texts themselves before any training.

Words that stand among the same neighbours get like vectors. V vocabulary, C contexts, E width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.tokens import PAD_ID

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

CONTEXTS = 4096
REACH = 4  # tokens to either side; nearer ones count more
SPREAD = 0.15  # standard deviation of the vectors: about that of trained ones


def word_vectors(texts: Sequence[Ids], vocabulary: int, width: int, seed: int) -> Tensor:
    """float32 [V, E]: positive mutual information with frequent words, its main directions.

    Counting and a singular value decomposition do nearly what word2vec does (Levy and Goldberg
    2014; Levy et al. 2015), in seconds. A token without neighbours gets small random numbers.
    """
    information_VC = _positive_information(_neighbours(texts, vocabulary))
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)
    wanted = min(width, *information_VC.shape)
    spare = min(16, min(information_VC.shape) - wanted)
    left, strengths, _ = torch.svd_lowrank(information_VC, q=wanted + spare, niter=3)
    vectors_VE = torch.randn(vocabulary, width) * 0.1
    vectors_VE[:, :wanted] += _standardised((left * strengths.sqrt())[:, :wanted])
    torch.set_rng_state(generator_state)
    return vectors_VE * SPREAD


def _neighbours(texts: Sequence[Ids], vocabulary: int) -> Floats:
    """How often each token [V] stands near each of the most frequent ones [C]."""
    gap = np.full(REACH, PAD_ID, np.int64)
    flat = np.concatenate([part for ids in texts for part in (ids, gap)])
    frequency = np.bincount(flat, minlength=vocabulary)
    frequency[PAD_ID] = 0
    contexts = np.argsort(-frequency, kind="stable")[: min(CONTEXTS, vocabulary)]
    place = np.full(vocabulary, -1)
    place[contexts] = np.arange(len(contexts))
    place[PAD_ID] = -1
    counts = np.zeros(vocabulary * len(contexts), np.float32)
    for distance in range(1, REACH + 1):
        share = (REACH + 1 - distance) / REACH
        for word, near in (
            (flat[:-distance], flat[distance:]),
            (flat[distance:], flat[:-distance]),
        ):
            column = place[near]
            kept = (column >= 0) & (word != PAD_ID)
            cell = word[kept] * len(contexts) + column[kept]
            counts += share * np.bincount(cell, minlength=len(counts)).astype(np.float32)
    return counts.reshape(vocabulary, len(contexts))


def _positive_information(counts_VC: Floats) -> Tensor:
    """max(0, log p(word, near) / (p(word) p(near))), rare neighbours held down by a power."""
    rows_V1 = np.maximum(counts_VC.sum(1, keepdims=True), 1e-9)
    columns_1C = counts_VC.sum(0, keepdims=True) ** 0.75
    expected_VC = rows_V1 * (columns_1C / max(float(columns_1C.sum()), 1e-9))
    ratio_VC = counts_VC / np.maximum(expected_VC, 1e-12)
    return torch.from_numpy(np.log(np.maximum(ratio_VC, 1.0)))


def _standardised(vectors_VE: Tensor) -> Tensor:
    centred = vectors_VE - vectors_VE.mean(0)
    return centred / centred.std().clamp(min=1e-9)

"""Fits the linear n-gram model that a text network may be joined by, and finds its share.

N texts, B buckets, C columns of votes, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from export.networks.ngrams import LONGEST, NgramVotes, runs
from export.padding import pad
from export.tokens import PAD_ID

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

STRENGTH = 10.0  # scale of a text's features; with it a penalty of 1 suits many sizes of data
ITERATIONS = 25
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5)
TEMPERATURES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)


@dataclass(frozen=True)
class _Runs:
    """The runs of all texts in one list: which text each is of, its bucket, and its weight."""

    text: Ids
    bucket: Ids
    weight: Floats


def fit_votes(
    texts: Sequence[Ids], labels: NDArray[np.int64], classes: int, buckets: int
) -> Tensor:
    """The table float32 [B, C] of `NgramVotes`, one column for two classes, else one a class.

    Logistic regression on runs weighted by their naive Bayes log-count ratio (Wang and Manning
    2012), each class against the others.
    """
    found = _runs(texts, buckets)
    wanted = [1] if classes == 2 else range(classes)
    columns = [_fit(found, labels == label, buckets) for label in wanted]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def best_share(
    logits: Mapping[str, Tensor], votes: Mapping[str, Tensor], labels: Mapping[str, Tensor]
) -> float:
    """The factor on votes [N, K] that suits validation data best when added to logits [N, K].

    Judged by cross entropy, which is less a matter of luck than accuracy, at each share's own best
    temperature; every data set counts the same.
    """

    def loss(share: float) -> float:
        mixed = {name: logits[name] + share * votes[name] for name in logits}
        return min(
            sum(float(functional.cross_entropy(mixed[n] / t, labels[n])) for n in mixed)
            for t in TEMPERATURES
        )

    return min(SHARES, key=loss)


def votes_of(table_BC: Tensor, texts: Sequence[Ids]) -> Tensor:
    """What the table says of each text, [N, K]."""
    votes = NgramVotes(table_BC)
    said = []
    for ids in texts:
        row = pad([ids], PAD_ID)
        said.append(votes(row, row != PAD_ID))
    return torch.cat(said)


def _runs(texts: Sequence[Ids], buckets: int) -> _Runs:
    """All texts in one row, gaps between them, so that one pass hashes everything."""
    gap = np.full(LONGEST - 1, PAD_ID, np.int64)
    flat = np.concatenate([part for ids in texts for part in (ids, gap)])
    number = np.repeat(np.arange(len(texts)), [len(ids) + len(gap) for ids in texts])
    real_1T = torch.from_numpy(flat != PAD_ID)[None]
    of_text, in_bucket = [], []
    for bucket_1T, whole_1T in runs(torch.from_numpy(flat)[None], real_1T, buckets):
        kept = (whole_1T & real_1T)[0].numpy()  # a run that starts in a gap is none
        of_text.append(number[kept])
        in_bucket.append(bucket_1T[0].numpy()[kept])
    text, bucket = np.concatenate(of_text), np.concatenate(in_bucket)
    sizes = np.bincount(text, minlength=len(texts))
    return _Runs(text, bucket, STRENGTH / np.sqrt(sizes)[text])


def _fit(found: _Runs, is_class: NDArray[np.bool_], buckets: int) -> Floats:
    inside = is_class[found.text]
    yes, no = (
        1.0 + np.bincount(found.bucket[side], minlength=buckets) for side in (inside, ~inside)
    )
    ratio = np.log(yes / yes.sum()) - np.log(no / no.sum())
    feature = found.weight * ratio[found.bucket]
    sign = np.where(is_class, 1.0, -1.0)
    weights = torch.zeros(buckets, dtype=torch.float64)
    bias = torch.zeros(1, dtype=torch.float64)

    def loss() -> float:
        share = feature * weights.numpy()[found.bucket]
        margin = sign * (np.bincount(found.text, share, len(sign)) + bias.item())
        slope = -sign / (1 + np.exp(np.clip(margin, -50, 50)))
        gradient = np.bincount(found.bucket, feature * slope[found.text], buckets)
        weights.grad = torch.from_numpy(gradient) + weights
        bias.grad = torch.tensor([slope.sum()])
        return float(np.logaddexp(0, -margin).sum() + 0.5 * (weights @ weights))

    search = torch.optim.LBFGS(
        [weights, bias], max_iter=ITERATIONS, history_size=6, line_search_fn="strong_wolfe"
    )
    search.step(loss)
    # The bias stays behind: how frequent the classes are is the network's own matter.
    return STRENGTH * weights.numpy() * ratio

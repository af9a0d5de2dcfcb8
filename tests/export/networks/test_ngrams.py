from itertools import pairwise

import torch

from export.networks.ngrams import NgramVotes, runs
from export.padding import pad
from export.tokens import PAD_ID
from tests.export.tiny_networks import ids

BUCKETS = 1_048_573


def buckets_of(*tokens: int) -> list[list[int]]:
    """The buckets of one text's runs, a list for each length."""
    row = torch.tensor([tokens])
    return [bucket[whole].tolist() for bucket, whole in runs(row, row != PAD_ID, BUCKETS)]


def votes(table: torch.Tensor, *tokens: int) -> torch.Tensor:
    row = torch.tensor([tokens])
    return NgramVotes(table)(row, row != PAD_ID)[0]


def test_a_text_has_a_run_less_for_each_token_that_a_run_is_longer() -> None:
    assert [len(found) for found in buckets_of(5, 6, 7, 8)] == [4, 3, 2]
    assert [len(found) for found in buckets_of(5)] == [1, 0, 0]


def test_a_run_has_the_same_bucket_wherever_it_stands_and_another_when_turned() -> None:
    _, pairs, triples = buckets_of(5, 6, 7, 5, 6, 7, 6)
    assert pairs[0] == pairs[3]
    assert triples[0] == triples[3]
    assert pairs[1] != pairs[5]
    assert len({*pairs, *triples, *buckets_of(5, 6, 7)[0]}) == 4 + 4 + 3


def test_few_runs_share_a_bucket() -> None:
    (row,) = ids([5000], 16_000)
    _, pairs, triples = buckets_of(*row.tolist())
    distinct = {*pairwise(row.tolist())}
    assert len(set(pairs)) > 0.99 * len(distinct)
    assert len(set(triples)) > 0.99 * len(triples)


def test_padding_votes_for_nothing() -> None:
    table = torch.randn(101, 3)
    rows = ids([4, 1, 9], 90)
    padded = pad(rows, PAD_ID)
    together = NgramVotes(table)(padded, padded != PAD_ID)
    for row, found in zip(rows, together, strict=True):
        torch.testing.assert_close(found, votes(table, *row.tolist()))


def test_votes_are_the_sum_over_all_runs_by_the_root_of_their_number() -> None:
    table = torch.randn(BUCKETS, 3)
    flat = [bucket for found in buckets_of(5, 6, 7) for bucket in found]
    torch.testing.assert_close(votes(table, 5, 6, 7), table[flat].sum(0) / 6**0.5)


def test_one_column_votes_for_the_second_class_and_against_the_first() -> None:
    against, favour = votes(torch.full((101, 1), 2.0), 5)
    assert (against, favour) == (-2.0, 2.0)

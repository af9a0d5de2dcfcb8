"""Beam search: its rules by hand, its answers against the oracle."""

from collections.abc import Sequence

import numpy as np
import pytest

from service.runtime.beam import Continuation, best_continuations, place_children
from service.runtime.generate import Generator
from service.runtime.session import Session
from service.runtime.slot_decoder import SlotDecoder
from service.runtime.slots import Generated
from tests.runtime.answers import assert_same
from tests.runtime.reference_decoder import ReferenceDecoder
from tests.runtime.tiny_transformer import SPEC, Sentence, Weights


def test_the_best_continuations_come_from_any_hypothesis_best_first() -> None:
    logits = np.array([[0, 3, 1, 2], [9, 0, 0, 8]], np.float32)
    found = best_continuations(logits, np.array([0.0, -5.5]), 3)
    assert found == [Continuation(1, 0, 3.5), Continuation(0, 1, 3.0), Continuation(1, 3, 2.5)]


def test_equal_continuations_keep_the_order_of_hypothesis_and_token() -> None:
    logits = np.zeros((2, 2), np.float32)
    found = best_continuations(logits, np.zeros(2), 2)
    assert [(c.parent, c.token) for c in found] == [(0, 0), (0, 1)]


def test_a_hypothesis_that_has_not_begun_is_never_continued() -> None:
    logits = np.array([[0, 1, 2, 3], [100, 100, 100, 100]], np.float32)
    found = best_continuations(logits, np.array([0.0, -np.inf]), 4)
    assert {c.parent for c in found} == {0}


@pytest.mark.parametrize(
    ("parents", "places"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([2, 0, 1], [2, 0, 1]),
        ([0, 0, 0], [0, 1, 2]),
        ([1, 1, 0], [1, 2, 0]),
        ([2, 1, 2], [2, 1, 0]),
    ],
)
def test_no_place_that_is_copied_from_is_written_to(parents: list[int], places: list[int]) -> None:
    assert place_children(parents) == places
    assert sorted(places) == list(range(len(parents)))
    copied = {place for place, parent in zip(places, parents, strict=True) if place != parent}
    assert not copied & set(parents)


def with_beam(sources: Sequence[Sentence], width: int) -> list[Sentence]:
    return [Sentence(source.ids, width) for source in sources]


@pytest.mark.parametrize("width", [2, 4])
def test_beam_search_finds_what_the_oracle_finds(
    generator: Generator, weights: Weights, sources: Sequence[Sentence], width: int
) -> None:
    reference = ReferenceDecoder(weights)
    some = sources[:5]
    oracle = [reference.beam(source.ids, width) for source in some]
    assert_same(generator.run(with_beam(some, width)), oracle)


def test_beams_of_all_widths_share_a_decoder_with_greedy_rows(
    generator: Generator, sources: Sequence[Sentence]
) -> None:
    mixed = [Sentence(source.ids, 1 + n % 5) for n, source in enumerate(sources)]
    alone = [generator.run([source])[0] for source in mixed]
    assert_same(generator.run(mixed), alone)


def test_a_beam_follows_greedy_rows_of_the_same_number(
    generator: Generator, weights: Weights, sources: Sequence[Sentence]
) -> None:
    generator.run(sources[:2])
    oracle = ReferenceDecoder(weights).beam(sources[0].ids, 2)
    assert_same(generator.run(with_beam(sources[:1], 2)), [oracle])


def test_width_one_by_the_beams_code_is_greedy(
    encoder: Session,
    decoder: Session,
    sources: Sequence[Sentence],
    expected: Sequence[Generated],
) -> None:
    slots = SlotDecoder(encoder, decoder, SPEC, greedy=False)
    tickets = slots.admit(sources)
    found: dict[int, Generated] = {}
    while slots.active:
        found.update(slots.step())
    assert_same([found[ticket] for ticket in tickets], expected)


def test_beam_search_scores_no_lower_than_greedy_where_greedy_ends(
    generator: Generator, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    found = generator.run(with_beam(sources, 4))
    pairs = [(b, g) for b, g in zip(found, expected, strict=True) if g.finished]
    assert all(beam.score >= greedy.score - 1e-5 for beam, greedy in pairs)
    assert sum(beam.score > greedy.score + 1e-2 for beam, greedy in pairs) >= 3
    assert all(beam.finished for beam, _ in pairs)

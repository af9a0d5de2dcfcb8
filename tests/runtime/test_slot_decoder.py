"""Places in the decoder: who takes one, who moves, and when memory goes back."""

from collections.abc import Sequence

import pytest

from service.runtime.session import Session
from service.runtime.slot_decoder import SlotDecoder
from service.runtime.slots import Generated, Slots
from tests.runtime.answers import assert_same
from tests.runtime.tiny_transformer import SPEC, Sentence, sentences


def test_newcomers_take_the_places_of_those_who_left_before_anybody_moves(
    encoder: Session,
    decoder: Session,
    sources: Sequence[Sentence],
    expected: Sequence[Generated],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moves: list[int] = []
    remove = Slots.remove

    def noted(self: Slots, row: int) -> int:
        moves.append(row)
        return remove(self, row)

    monkeypatch.setattr(Slots, "remove", noted)
    slots = SlotDecoder(encoder, decoder, SPEC, capacity=4)
    tickets = slots.admit(sources[:4])
    slots.evict(tickets[0])
    slots.evict(tickets[2])
    assert (slots.free, slots.active) == (2, 2)
    tickets += slots.admit(sources[4:6])
    assert (slots.free, slots.active) == (0, 4)
    found = dict(slots.step())
    assert moves == []
    while slots.active:
        found.update(slots.step())
    kept = [1, 3, 4, 5]
    assert_same([found[tickets[n]] for n in kept], [expected[n] for n in kept])


def test_memory_for_a_long_sentence_is_given_back_after_it_left(
    encoder: Session, decoder: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    bind = decoder.bind

    def noted(inputs, outputs):  # type: ignore[no-untyped-def]
        sizes.append(inputs["cross_key.0"].shape[2])
        return bind(inputs, outputs)

    monkeypatch.setattr(decoder, "bind", noted)
    slots = SlotDecoder(encoder, decoder, SPEC)
    for length in (90, 5):
        slots.admit(sentences([length]))
        while slots.active:
            slots.step()
    assert (sizes[0], sizes[-1]) == (128, 32)

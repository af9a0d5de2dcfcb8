"""Continuous decoding against the oracle: who shares the decoder must not matter."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from service.errors import Cancelled, InferenceFailed, InvalidInput
from service.runtime.errors import GraphMismatch
from service.runtime.generate import Generator
from service.runtime.session import Abort, Binding, Session, open_session
from service.runtime.slot_decoder import SlotDecoder, target_limit
from service.runtime.slots import Generated
from tests.runtime.answers import assert_same
from tests.runtime.reference_decoder import ReferenceDecoder
from tests.runtime.tiny_transformer import (
    SPEC,
    Sentence,
    Weights,
    decoder_graph,
    encoder_graph,
    sentences,
)


def test_a_batch_of_mixed_lengths_is_what_the_oracle_says(
    generator: Generator, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    lengths = {len(answer.ids) for answer in expected if answer.finished}
    assert len(lengths) >= 5, "the sources should end at many different steps"
    assert_same(generator.run(sources), expected)


def test_a_sentence_alone_is_what_the_oracle_says(
    generator: Generator, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    assert_same([generator.run([source])[0] for source in sources], expected)


@pytest.mark.parametrize("slots", [1, 2, 3, 7])
def test_more_sources_than_slots_take_over_from_those_that_end(
    encoder: Session,
    decoder: Session,
    sources: Sequence[Sentence],
    expected: Sequence[Generated],
    slots: int,
) -> None:
    assert_same(Generator(encoder, decoder, SPEC, slots).run(sources), expected)


def test_a_row_that_joins_late_is_the_same_as_alone(
    encoder: Session,
    decoder: Session,
    sources: Sequence[Sentence],
    expected: Sequence[Generated],
) -> None:
    slots = SlotDecoder(encoder, decoder, SPEC, capacity=len(sources))
    tickets: list[int] = []
    found: dict[int, Generated] = {}
    waiting = list(sources)
    while waiting or slots.active:  # one newcomer a step, so no two rows have the same age
        if waiting:
            tickets += slots.admit([waiting.pop(0)])
        found.update(slots.step())
    assert_same([found[ticket] for ticket in tickets], expected)


def test_a_long_newcomer_makes_the_memory_grow_under_running_rows(
    encoder: Session, decoder: Session, weights: Weights
) -> None:
    short, long = sentences([6, 20, 8], seed=3), sentences([90], seed=4)
    reference = ReferenceDecoder(weights)
    slots = SlotDecoder(encoder, decoder, SPEC)
    tickets = slots.admit(short)
    found = dict(slots.step())
    tickets += slots.admit(long)
    while slots.active:
        found.update(slots.step())
    expected = [reference.greedy(source.ids) for source in [*short, *long]]
    assert_same([found[ticket] for ticket in tickets], expected)


def test_an_evicted_row_leaves_the_others_as_they_are(
    encoder: Session,
    decoder: Session,
    sources: Sequence[Sentence],
    expected: Sequence[Generated],
) -> None:
    slots = SlotDecoder(encoder, decoder, SPEC)
    mixed = [Sentence(source.ids, 3 if n in (1, 4) else 1) for n, source in enumerate(sources)]
    tickets = slots.admit(mixed)
    found = dict(slots.step())
    before = slots.active
    gone = [n for n in (0, 1, 4, 7) if tickets[n] not in found]
    for n in gone:
        slots.evict(tickets[n])
    assert before - slots.active == sum(mixed[n].beam for n in gone)
    while slots.active:
        found.update(slots.step())
    kept = [n for n in range(len(mixed)) if n not in gone and mixed[n].beam == 1]
    assert not {tickets[n] for n in gone} & set(found)
    assert_same([found[tickets[n]] for n in kept], [expected[n] for n in kept])


def test_a_row_at_its_limit_is_cut_off_and_says_so(encoder: Session) -> None:
    endless = open_session(decoder_graph(Weights(eos_bias=-60.0)))
    sources = sentences([3, 50, 10])
    answers = Generator(encoder, endless, SPEC).run(sources)
    limits = [target_limit(SPEC, len(source.ids)) for source in sources]
    assert limits == [22, SPEC.max_target_tokens, 36]
    assert [(len(answer.ids), answer.finished) for answer in answers] == [
        (limit, False) for limit in limits
    ]
    wide = Generator(encoder, endless, SPEC).run([Sentence(sources[0].ids, beam=3)])
    assert [(len(answer.ids), answer.finished) for answer in wide] == [(22, False)]


def test_a_second_call_uses_the_memory_and_bindings_of_the_first(
    generator: Generator,
    decoder: Session,
    sources: Sequence[Sentence],
    expected: Sequence[Generated],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses: list[int] = []
    bind = decoder.bind

    def noted(inputs, outputs):  # type: ignore[no-untyped-def]
        addresses.append(inputs["past_key.0"].ctypes.data)
        return bind(inputs, outputs)

    monkeypatch.setattr(decoder, "bind", noted)
    generator.run(sources)
    first = len(addresses)
    assert len(set(addresses)) == 1
    assert_same(generator.run(sources), expected)
    assert len(addresses) == first


def test_threads_share_a_generator_and_its_sessions(
    generator: Generator, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    start = threading.Barrier(3)
    found: dict[int, list[list[Generated]]] = {}

    def work(n: int) -> None:
        start.wait(timeout=30)
        turned = [*sources[n:], *sources[:n]]
        found[n] = [generator.run(turned) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, runs in found.items():
        for answers in runs:
            assert_same(answers, [*expected[n:], *expected[:n]])
    assert len(found) == 3


def test_an_aborted_run_leaves_a_generator_that_works(
    generator: Generator, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    abort = Abort()
    abort.set()
    with pytest.raises(Cancelled):
        generator.run(sources, abort)
    assert_same(generator.run(sources), expected)


def test_a_run_that_fails_midway_leaves_nothing_behind(
    generator: Generator,
    decoder: Session,
    sources: Sequence[Sentence],
    expected: Sequence[Generated],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = iter([True, True, False])

    def failing(binding: Binding, abort: Abort | None = None) -> None:
        if not next(steps):
            raise InferenceFailed("the third step")
        Session.run_bound(decoder, binding, abort)

    with monkeypatch.context() as patch:
        patch.setattr(decoder, "run_bound", failing)
        with pytest.raises(InferenceFailed, match="the third step"):
            generator.run([Sentence(sources[7].ids, beam=3), *sources])
    assert_same(generator.run(sources), expected)


def test_an_abort_between_steps_stops_the_decoder(
    encoder: Session, decoder: Session, sources: Sequence[Sentence]
) -> None:
    abort = Abort()
    slots = SlotDecoder(encoder, decoder, SPEC)
    slots.admit(sources, abort)
    slots.step(abort)
    abort.set()
    with pytest.raises(Cancelled):
        slots.step(abort)
    slots.clear()
    assert (slots.active, slots.free) == (0, 32)


def test_newcomers_are_admitted_all_or_not_at_all(
    encoder: Session, decoder: Session, sources: Sequence[Sentence]
) -> None:
    slots = SlotDecoder(encoder, decoder, SPEC, capacity=12)
    with pytest.raises(ValueError, match="12 slots are free"):
        slots.admit(sources[:13])
    out_of_range = Sentence(np.array([SPEC.vocabulary + 1]))
    with pytest.raises(InferenceFailed):  # in the second group, after eight were seated
        slots.admit([*sources[:9], out_of_range])
    assert slots.active == 0


def test_no_sources_are_no_answers(generator: Generator) -> None:
    assert generator.run([]) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Sentence(np.array([], np.int64)), "0 tokens; the model takes 1 to 100"),
        (Sentence(np.ones(101, np.int64)), "101 tokens"),
        (Sentence(np.array([SPEC.vocabulary])), "outside the vocabulary of 256"),
        (Sentence(np.array([5, -1])), "outside the vocabulary"),
        (Sentence(np.array([5]), beam=0), "beam must be 1 to 32, not 0"),
        (Sentence(np.array([5]), beam=33), "beam must be 1 to 32"),
    ],
)
def test_a_bad_source_is_refused_before_it_is_encoded(
    generator: Generator, bad: Sentence, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        generator.check(bad)
    with pytest.raises(InvalidInput, match=message):
        generator.run([*sentences([4, 5]), bad])


def test_a_score_that_is_not_finite_is_a_failure(encoder: Session) -> None:
    broken = Weights()
    broken.matrices["head"][1][7] = np.nan
    generator = Generator(encoder, open_session(decoder_graph(broken)), SPEC)
    with pytest.raises(InferenceFailed, match="not finite"):
        generator.run(sentences([4]))


def test_placement_counts_the_nodes_of_both_graphs(
    generator: Generator, encoder: Session, decoder: Session
) -> None:
    provider = "CPUExecutionProvider"
    assert generator.placement == {
        provider: encoder.placement[provider] + decoder.placement[provider]
    }


def test_graphs_of_another_shape_are_refused(encoder: Session, decoder: Session) -> None:
    other = SPEC.model_copy(update={"heads": 4, "head_size": 8})
    with pytest.raises(GraphMismatch, match=r"^encoder graph: output 'cross_key_value.0' is"):
        Generator(encoder, decoder, other)
    deeper = SPEC.model_copy(update={"layers": 1})
    with pytest.raises(GraphMismatch, match=r"^decoder graph: input 'cross_key.1' is not promised"):
        Generator(encoder, decoder, deeper)
    with pytest.raises(GraphMismatch, match=r"^decoder graph: input 'source_lengths' is missing"):
        Generator(encoder, open_session(encoder_graph(Weights())), SPEC)

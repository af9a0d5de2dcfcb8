"""Decoders whose rows step equally, against the oracle: cohorts, leaving, limits, refusals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from model_zoo.preprocessing import OptimumInput, TranslationInput
from service.errors import Cancelled, InferenceFailed, InvalidInput
from service.runtime import cohort_decoder
from service.runtime.cohort import best_tokens
from service.runtime.cohort_decoder import LATE_STEPS, MAX_COHORTS, CohortDecoder
from service.runtime.cohort_generator import CohortGenerator
from service.runtime.optimum import OptimumGraphs
from service.runtime.session import Abort
from service.runtime.slot_decoder import target_limit
from service.runtime.slots import Generated
from tests.runtime.answers import assert_same
from tests.runtime.tiny_optimum import LAYOUTS, SPEC, sessions
from tests.runtime.tiny_transformer import EOS, Sentence, Weights


@pytest.fixture(scope="module", params=LAYOUTS)
def graphs(request: pytest.FixtureRequest, weights: Weights) -> OptimumGraphs:
    return OptimumGraphs(sessions(weights, request.param), SPEC)


@pytest.fixture(scope="module")
def split(weights: Weights) -> OptimumGraphs:
    return OptimumGraphs(sessions(weights, "split"), SPEC)


def finish(decoder: CohortDecoder) -> dict[int, Generated]:
    found: dict[int, Generated] = {}
    while decoder.active:
        found.update(decoder.step())
    return found


def told(**optimum: Any) -> TranslationInput:
    return SPEC.model_copy(update={"optimum": OptimumInput(**optimum)})


@pytest.mark.parametrize("slots", [1, 3, 8, 32])
def test_rows_together_answer_what_the_oracle_says_of_each(
    graphs: OptimumGraphs,
    sources: Sequence[Sentence],
    expected: Sequence[Generated],
    slots: int,
) -> None:
    assert {answer.finished for answer in expected} == {True, False}, "both ways to end"
    assert_same(CohortGenerator(graphs, SPEC, slots).run(sources), expected)


def test_a_row_alone_answers_what_the_oracle_says(
    graphs: OptimumGraphs, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    generator = CohortGenerator(graphs, SPEC)
    assert_same([generator.run([source])[0] for source in sources], expected)


def test_a_row_ends_at_its_own_limit(split: OptimumGraphs, sources: Sequence[Sentence]) -> None:
    never = told(banned_ids=(EOS,))
    answers = CohortGenerator(split, never).run(sources)
    limits = [target_limit(never, len(source.ids)) for source in sources]
    assert [len(answer.ids) for answer in answers] == limits
    assert not any(answer.finished for answer in answers)


def test_newcomers_are_cohorts_of_their_own_and_all_take_turns(
    split: OptimumGraphs, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    decoder = CohortDecoder(split, SPEC, capacity=32)
    long = [7, 11]  # of the answers, those that are cut off
    first = decoder.admit([sources[long[0]]])
    for _ in range(3):
        assert decoder.step() == []
    second = decoder.admit([sources[long[1]]])
    for turn in range(1, 4):
        decoder.step()
        decoder.step()
        lengths = [len(decoder.written(ticket)) for ticket in (*first, *second)]
        assert lengths == [3 + turn, turn]
    found = finish(decoder)
    assert_same([found[t] for t in (*first, *second)], [expected[n] for n in long])


def test_sentences_that_arrive_step_by_step_answer_what_the_oracle_says(
    graphs: OptimumGraphs, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    decoder = CohortDecoder(graphs, SPEC, capacity=6)
    waiting = list(sources)
    tickets: list[int] = []
    found: dict[int, Generated] = {}
    while waiting or decoder.active:
        joining = waiting[: min(2, 6 - decoder.active)]
        del waiting[: len(joining)]
        tickets += decoder.admit(joining)
        found.update(decoder.step())
    assert_same([found[ticket] for ticket in tickets], expected)


def test_there_is_room_for_so_many_rows_and_not_one_more(
    split: OptimumGraphs, sources: Sequence[Sentence]
) -> None:
    decoder = CohortDecoder(split, SPEC, capacity=6)
    assert (decoder.free, decoder.active) == (6, 0)
    decoder.admit(sources[:4])
    with pytest.raises(ValueError, match="room for 2"):
        decoder.admit(sources[:3])
    assert decoder.active == 4
    assert decoder.admit([]) == []


def test_newcomers_gather_until_the_cohorts_are_late_and_then_in_bounds(
    split: OptimumGraphs, sources: Sequence[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_decoder, "LATE_STEPS", 4)
    decoder = CohortDecoder(split, told(banned_ids=(EOS,)), capacity=8)
    for cohorts in range(1, MAX_COHORTS + 1):
        decoder.admit(sources[7:8])  # the longest
        for step in range(4 * cohorts):
            assert decoder.free == 0, f"step {step} beside {cohorts - 1}"
            decoder.step()
        assert decoder.active == cohorts
        assert decoder.free == (8 - cohorts if cohorts < MAX_COHORTS else 0)
    finish(decoder)
    assert (decoder.free, decoder.active) == (8, 0)


def test_a_cohort_is_late_after_so_many_steps(
    split: OptimumGraphs, sources: Sequence[Sentence]
) -> None:
    decoder = CohortDecoder(split, told(banned_ids=(EOS,)))
    decoder.admit(sources[7:8])
    for _ in range(LATE_STEPS):
        assert decoder.free == 0
        decoder.step()
    assert decoder.free == 31


def test_few_free_rows_wait_for_more(
    split: OptimumGraphs, sources: Sequence[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_decoder, "LATE_STEPS", 0)
    decoder = CohortDecoder(split, SPEC, capacity=8)
    first, second, *_ = decoder.admit(sources[:8])
    assert decoder.free == 0
    decoder.evict(first)
    assert decoder.free == 0
    decoder.evict(second)
    assert decoder.free == 2


def test_who_is_evicted_at_a_step_changes_nothing_for_the_others(
    graphs: OptimumGraphs, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    decoder = CohortDecoder(graphs, SPEC, capacity=32)
    tickets = decoder.admit(sources)
    found = dict(decoder.step())
    leaving = [ticket for ticket in tickets[::3] if ticket not in found]
    assert leaving
    for ticket in leaving:
        decoder.evict(ticket)
    assert decoder.active == len(tickets) - len(leaving) - len(found)
    found |= finish(decoder)
    assert found.keys() == set(tickets) - set(leaving)
    staying = [n for n, ticket in enumerate(tickets) if ticket in found]
    assert_same([found[tickets[n]] for n in staying], [expected[n] for n in staying])


def test_a_cohort_ends_when_all_of_it_is_evicted_and_the_next_has_its_turns(
    split: OptimumGraphs, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    decoder = CohortDecoder(split, SPEC)
    gone = decoder.admit(sources[:3])
    (stays,) = decoder.admit(sources[3:4])
    for ticket in gone:
        decoder.evict(ticket)
    decoder.step()
    assert len(decoder.written(stays)) == 1
    assert_same([finish(decoder)[stays]], expected[3:4])


def test_rows_that_leave_take_their_memory_with_them(
    split: OptimumGraphs, sources: Sequence[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, int]] = []
    go_on = split.go_on

    def watched(newest: Any, memory: Any, caches: Any, abort: Any = None) -> Any:
        source = caches["past_key_values.0.encoder.key"].shape
        assert len(newest) == source[0] == len(caches["past_key_values.1.decoder.value"])
        assert memory.mask.shape == (source[0], source[2])
        shapes.append((source[0], source[2]))
        return go_on(newest, memory, caches, abort)

    monkeypatch.setattr(split, "go_on", watched)
    decoder = CohortDecoder(split, SPEC)
    long, short = decoder.admit([sources[7], sources[0]])
    decoder.step()
    decoder.step()
    decoder.evict(long)
    decoder.step()
    assert shapes == [(2, 40), (1, 3)]
    assert decoder.written(short)


def test_the_first_token_may_be_given(graphs: OptimumGraphs, sources: Sequence[Sentence]) -> None:
    answers = CohortGenerator(graphs, told(first_id=77)).run(sources)
    assert {answer.ids[0] for answer in answers} == {77}
    assert all(set(answer.ids[1:]) - {77} for answer in answers if len(answer.ids) > 9)
    free = CohortGenerator(graphs, SPEC).run(sources)
    assert any(a.ids[1:] != b.ids[1:] for a, b in zip(answers, free, strict=True))


def test_banned_tokens_are_never_written(
    split: OptimumGraphs, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    favourites = {answer.ids[0] for answer in expected if answer.ids}
    answers = CohortGenerator(split, told(banned_ids=tuple(favourites))).run(sources)
    assert not favourites & {token for answer in answers for token in answer.ids}


def test_the_best_token_and_its_log_probability() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], np.float32)) + 3
    ids, scores = best_tokens(logits.copy())
    assert ids.tolist() == [0, 2]
    assert np.exp(scores) == pytest.approx([0.5, 0.7])
    ids, scores = best_tokens(logits.copy(), [0])
    assert ids.tolist() == [1, 2]
    assert np.exp(scores) == pytest.approx([0.6, 0.7 / 0.9])
    logits[1, 1] = np.nan
    _, scores = best_tokens(logits)
    assert np.isfinite(scores).tolist() == [True, False]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (Sentence(np.array([5, EOS]), beam=4), "send beam 1"),
        (Sentence(np.arange(3, 150)), "takes 1 to 100"),
        (Sentence(np.array([5000, EOS])), "outside the vocabulary"),
    ],
)
def test_what_the_model_cannot_take_is_refused(
    split: OptimumGraphs, item: Sentence, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        CohortGenerator(split, SPEC).run([item])


def test_an_abort_ends_the_run_and_the_next_one_begins_afresh(
    split: OptimumGraphs, sources: Sequence[Sentence], expected: Sequence[Generated]
) -> None:
    generator = CohortGenerator(split, SPEC)
    abort = Abort()
    abort.set()
    with pytest.raises(Cancelled):
        generator.run(sources, abort)
    assert_same(generator.run(sources), expected)


def test_a_step_that_fails_leaves_nothing_to_the_next_run(
    split: OptimumGraphs,
    sources: Sequence[Sentence],
    expected: Sequence[Generated],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*given: Any) -> Any:
        raise InferenceFailed("broken")

    generator = CohortGenerator(split, SPEC)
    with monkeypatch.context() as patched:
        patched.setattr(split, "go_on", broken)
        with pytest.raises(InferenceFailed, match="broken"):
            generator.run(sources)
    assert_same(generator.run(sources), expected)


def test_a_score_that_is_no_number_fails_the_run(sources: Sequence[Sentence]) -> None:
    weights = Weights()
    weights.matrices["head"][1][5] = np.nan
    generator = CohortGenerator(OptimumGraphs(sessions(weights, "split"), SPEC), SPEC)
    with pytest.raises(InferenceFailed, match="not finite"):
        generator.run(sources[:2])


def test_all_sessions_are_counted_in_the_placement(weights: Weights) -> None:
    opened = sessions(weights, "split")
    placement = CohortGenerator(OptimumGraphs(opened, SPEC), SPEC).placement
    nodes = sum(session.placement["CPUExecutionProvider"] for session in opened.values())
    assert placement == {"CPUExecutionProvider": nodes}

"""A decoder that chooses among each row's candidates, against the one that scores all tokens."""

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from export.convert.transformer_graphs import TransformerGraphs, transformer_graphs
from export.networks.transformer import Transformer
from export.quantize.shortlist import shortlist_graph
from export.quantize.transformer import calibrate, quantize_transformer
from export.shortlist import Lexicon
from service.runtime import generate
from service.runtime.collate import pack_ids
from service.runtime.errors import GraphMismatch
from service.runtime.generate import Generator
from service.runtime.session import Session, open_session
from service.runtime.shortlist import Candidates, Shortlist
from service.runtime.slots import Generated
from tests.export.stepping import serialized
from tests.export.tiny_networks import EOS, PAD, SPEC, Ids, Source, ids, sentences, transformer

LENGTHS = (1, 2, 3, 7, 12, 5, 20, 9, 40, 4, 6, 30)
FEW = 24


@pytest.fixture(scope="module")
def network() -> Transformer:
    return transformer()


def lexicon(seed: int = 3) -> Lexicon:
    """Each source token has four likely targets, in which it trusts in order."""
    random = np.random.default_rng(seed)
    targets = np.stack([random.permutation(SPEC.vocabulary)[:4] for _ in range(SPEC.vocabulary)])
    chances = np.tile(np.array([0.5, 0.3, 0.1, 0.05], np.float32), (SPEC.vocabulary, 1))
    shares = random.permutation(SPEC.vocabulary).astype(np.float32) * 1e-6
    return Lexicon(targets, chances, shares)


def expected_candidates(words: Lexicon, source: Ids, count: int) -> set[int]:
    sums = words.shares.astype(np.float64)
    for token in source:
        sums[words.targets[token]] += words.chances[token]
    sums[EOS] = np.inf
    return set(np.argsort(-sums)[:count].tolist())


class Parts:
    """Both kinds of decoder over the same int8 encoder, and the shortlist of one of them."""

    def __init__(self, network: Transformer, count: int) -> None:
        pairs = [
            (torch.from_numpy(source)[None], torch.from_numpy(target)[None])
            for source, target in zip(
                sentences([5, 9, 14]), ids([6, 8, 12], SPEC.vocabulary, seed=4), strict=True
            )
        ]
        ranges = calibrate(network, pairs, PAD)
        seen = ranges["output"]
        made = shortlist_graph(network, lexicon(), max(-seen.low, seen.high), EOS, count)
        plain, short = transformer_graphs(network), transformer_graphs(network, made.output)
        whole, chosen = (
            serialized(
                TransformerGraphs(
                    quantize_transformer(plain.encoder, ranges),
                    quantize_transformer(graphs.decoder, ranges),
                )
            )
            for graphs in (plain, short)
        )
        self.encoder = open_session(whole["encoder"])
        self.whole, self.short = (open_session(graphs["decoder"]) for graphs in (whole, chosen))
        self.shortlist = open_session(made.graph.SerializeToString())

    def generator(self, slots: int = 32) -> Generator:
        return Generator(self.encoder, self.short, SPEC, slots, self.shortlist)


@pytest.fixture(scope="module")
def every_token(network: Transformer) -> Parts:
    return Parts(network, SPEC.vocabulary)


@pytest.fixture(scope="module")
def few(network: Transformer) -> Parts:
    return Parts(network, FEW)


def found_by(session: Session, source: Ids, count: int) -> Ids:
    return Shortlist(session, SPEC, count).of(source, np.zeros_like(source))[0]


def test_each_sentence_has_the_candidates_that_it_has_alone(few: Parts) -> None:
    sources = sentences(LENGTHS)
    ids, _, segments = pack_ids(sources)
    together = Shortlist(few.shortlist, SPEC, FEW).of(ids, segments)
    alone = [found_by(few.shortlist, source, FEW) for source in sources]
    assert together.tolist() == [found.tolist() for found in alone]


def test_of_equally_likely_tokens_the_earlier_ones_are_candidates(network: Transformer) -> None:
    known = lexicon()
    all_alike = Lexicon(known.targets, np.zeros_like(known.chances), np.zeros_like(known.shares))
    graph = shortlist_graph(network, all_alike, 1.0, EOS, FEW).graph
    session = open_session(graph.SerializeToString())
    first = [token for token in range(FEW) if token != EOS]
    expected = sorted([*first[: FEW - 1], EOS])
    assert found_by(session, sentences([7])[0], FEW).tolist() == expected
    one_more = Lexicon(known.targets, np.zeros_like(known.chances), np.zeros_like(known.shares))
    one_more.shares[-1] = 1.0
    graph = shortlist_graph(network, one_more, 1.0, EOS, FEW).graph
    session = open_session(graph.SerializeToString())
    expected = sorted([*first[: FEW - 2], EOS, SPEC.vocabulary - 1])
    assert found_by(session, sentences([7])[0], FEW).tolist() == expected


def test_candidates_have_the_largest_sums_and_the_end_token_among_them(few: Parts) -> None:
    for source in sentences(LENGTHS):
        found = found_by(few.shortlist, source, FEW).tolist()
        assert len(set(found)) == FEW
        assert EOS in found
        assert set(found) == expected_candidates(lexicon(), source, FEW)


def assert_close(found: list[Generated], expected: list[Generated]) -> None:
    assert [answer.ids for answer in found] == [answer.ids for answer in expected]
    scores = [answer.score for answer in expected]
    assert [answer.score for answer in found] == pytest.approx(scores, abs=1e-3)


@pytest.mark.parametrize("beam", [1, 3])
def test_with_every_token_a_candidate_nothing_changes(every_token: Parts, beam: int) -> None:
    sources = [Source(source, beam) for source in sentences(LENGTHS)]
    expected = Generator(every_token.encoder, every_token.whole, SPEC).run(sources)
    assert_close(every_token.generator().run(sources), expected)


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("slots", [32, 5])
def test_a_sentence_is_the_same_beside_others_and_alone(few: Parts, slots: int, beam: int) -> None:
    sources = [Source(source, beam) for source in sentences(LENGTHS)]
    together = few.generator(slots).run(sources)
    alone = [few.generator(slots).run([source])[0] for source in sources]
    assert [answer.ids for answer in together] == [answer.ids for answer in alone]
    for source, answer in zip(sources, together, strict=True):
        assert set(answer.ids) <= set(found_by(few.shortlist, source.ids, FEW).tolist())


@pytest.mark.parametrize("beam", [1, 4])
def test_with_the_whole_vocabulary_or_with_own_candidates_answers_are_the_same(
    few: Parts, monkeypatch: pytest.MonkeyPatch, beam: int
) -> None:
    sources, found = [Source(source, beam) for source in sentences(LENGTHS)], []
    for together_s in (0.5, 99.0):
        pretend(monkeypatch, together_s)
        found.append(few.generator().run(sources))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("together_s", "slots", "whole_from"),
    [(1.5, 32, 2), (5.0, 32, 8), (28.0, 32, 32), (29.0, 32, 33), (5.0, 7, 7), (0.5, 1, 2)],
)
def test_what_is_faster_for_so_many_rows_is_measured(
    few: Parts,
    monkeypatch: pytest.MonkeyPatch,
    together_s: float,
    slots: int,
    whole_from: int,
) -> None:
    pretend(monkeypatch, together_s)
    assert few.generator(slots).whole_from == whole_from


def pretend(monkeypatch: pytest.MonkeyPatch, together_s: float) -> None:
    """A step takes a second a row with own candidates, together always as long; it is run, too."""

    def took_s(rehearse: Callable[[], None]) -> float:
        rehearse()
        decoder = rehearse.__self__  # type: ignore[attr-defined]
        (whole_from,) = decoder.whole_from
        return float(decoder.active) if decoder.active < whole_from else together_s

    monkeypatch.setattr(generate, "shortest_s", took_s)


@pytest.mark.parametrize(("whole_from", "needs_own"), [(3, False), (4, False), (5, True)])
def test_own_candidates_are_multiplied_below_that_number_alone(
    few: Parts, monkeypatch: pytest.MonkeyPatch, whole_from: int, needs_own: bool
) -> None:
    sources = [Source(source) for source in sentences(LENGTHS[3:7])]
    expected = [answer.ids[:1] for answer in few.generator().run(sources)]
    monkeypatch.setattr(Candidates, "bring_weights", lambda self, rows: None)
    decoder = few.generator().open_decoder()
    tickets = decoder.admit(sources)
    assert decoder.whole_from is not None
    decoder.whole_from[0] = whole_from
    decoder.step()
    assert ([decoder.written(ticket) for ticket in tickets] != expected) == needs_own


@pytest.mark.parametrize("whole_from", [2, 5, 9])
def test_weights_come_when_so_few_rows_are_left_that_they_are_needed(
    few: Parts, whole_from: int
) -> None:
    """Rows end at different steps, others join, and slots are taken over with or without."""
    sources = [Source(source) for source in sentences([*LENGTHS, *LENGTHS])]
    expected = [few.generator().run([source])[0].ids for source in sources]
    decoder = few.generator().open_decoder()
    assert decoder.whole_from is not None
    decoder.whole_from[0] = whole_from
    tickets: list[int] = []
    found: dict[int, Generated] = {}
    while len(found) < len(sources):
        if decoder.active < 3 and len(tickets) < len(sources):
            tickets += decoder.admit(sources[len(tickets) : len(tickets) + 8])
        found |= dict(decoder.step())
    assert [found[ticket].ids for ticket in tickets] == expected


def test_a_rehearsal_changes_nothing(few: Parts) -> None:
    sources = [Source(source) for source in sentences(LENGTHS[3:7])]
    decoder = few.generator().open_decoder()
    tickets = decoder.admit(sources)
    decoder.rehearse()
    decoder.rehearse()
    assert [decoder.written(ticket) for ticket in tickets] == [[]] * len(sources)
    found: dict[int, Generated] = {}
    while len(found) < len(sources):
        found |= dict(decoder.step())
    assert [found[ticket] for ticket in tickets] == few.generator().run(sources)


def test_the_shortest_of_several_times_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    took_s = iter([3.0, 2.0, 5.0, 4.0, 9.0, 2.5, 7.0])
    now_s = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now_s)

    def run() -> None:
        nonlocal now_s
        now_s += next(took_s)

    assert generate.shortest_s(run) == 2.0


def test_a_beam_is_no_wider_than_its_candidates_allow(few: Parts) -> None:
    widest = FEW // 2
    few.generator().check(Source(sentences([4])[0], widest))
    with pytest.raises(Exception, match=f"1 to {widest}"):
        few.generator().check(Source(sentences([4])[0], widest + 1))


def test_a_decoder_with_candidates_does_not_open_without_a_shortlist(few: Parts) -> None:
    with pytest.raises(GraphMismatch, match="candidate_ids"):
        Generator(few.encoder, few.short, SPEC)


def test_a_shortlist_does_not_open_beside_a_decoder_that_scores_all(few: Parts) -> None:
    with pytest.raises(GraphMismatch, match="shortlist"):
        Generator(few.encoder, few.whole, SPEC, 32, few.shortlist)

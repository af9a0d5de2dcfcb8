"""A decoder that chooses among common tokens and each row's own, against one that scores all."""

import numpy as np
import pytest
import torch

from export.convert.transformer_graphs import TransformerGraphs, transformer_graphs
from export.networks.transformer import Transformer
from export.quantize.shortlist import CERTAIN, shortlist_graph
from export.quantize.transformer import calibrate, quantize_transformer
from export.shortlist import Lexicon
from service.runtime.collate import pack_ids
from service.runtime.errors import GraphMismatch
from service.runtime.generate import Generator
from service.runtime.session import Session, open_session
from service.runtime.shortlist import Shortlist
from service.runtime.slots import Generated
from tests.export.stepping import serialized
from tests.export.tiny_networks import EOS, PAD, SPEC, Ids, Source, ids, sentences, transformer

LENGTHS = (1, 2, 3, 7, 12, 5, 20, 9, 40, 4, 6, 30)
COMMON, OWN = 16, 8


@pytest.fixture(scope="module")
def network() -> Transformer:
    return transformer()


def lexicon(common: int, seed: int = 3) -> Lexicon:
    """Each source token has four likely targets, in which it trusts in order; the end token is
    common to all."""
    random = np.random.default_rng(seed)
    frequent = np.append(EOS, np.setdiff1d(random.permutation(SPEC.vocabulary), [EOS]))
    shared, others = frequent[:common], frequent[common:]
    targets = np.stack([random.permutation(others)[:4] for _ in range(SPEC.vocabulary)])
    chances = np.tile(np.array([0.5, 0.3, 0.1, 0.05], np.float32), (SPEC.vocabulary, 1))
    return Lexicon(shared, others, targets, chances)


def expected_own(words: Lexicon, source: Ids, own: int) -> list[int]:
    """By heart: whole numbers add up, and of equal ones the earlier token comes first."""
    sums = dict.fromkeys(words.others[:own].tolist(), 0)
    for token in source:
        for target, chance in zip(words.targets[token], words.chances[token], strict=True):
            sums[int(target)] = sums.get(int(target), 0) + int(np.rint(chance * CERTAIN))
    return sorted(sums, key=lambda token: (-sums[token], token))[:own]


class Parts:
    """Both kinds of decoder over the same int8 encoder, and the shortlist of one of them."""

    def __init__(self, network: Transformer, common: int, own: int) -> None:
        pairs = [
            (torch.from_numpy(source)[None], torch.from_numpy(target)[None])
            for source, target in zip(
                sentences([5, 9, 14]), ids([6, 8, 12], SPEC.vocabulary, seed=4), strict=True
            )
        ]
        ranges = calibrate(network, pairs, PAD)
        seen = ranges["output"]
        self.words, self.common, self.own = lexicon(common), common, own
        made = shortlist_graph(network, self.words, max(-seen.low, seen.high), own)
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
        self.tables = open_session(made.graph.SerializeToString())

    def generator(self, slots: int = 32) -> Generator:
        return Generator(self.encoder, self.short, SPEC, slots, self.tables)

    @property
    def shortlist(self) -> Shortlist:
        return opened(self.tables, self.common, self.own)


def opened(tables: Session, common: int, own: int) -> Shortlist:
    return Shortlist(tables, SPEC, common + own, own)


@pytest.fixture(scope="module")
def every_token(network: Transformer) -> Parts:
    return Parts(network, SPEC.vocabulary - OWN, OWN)


@pytest.fixture(scope="module")
def few(network: Transformer) -> Parts:
    return Parts(network, COMMON, OWN)


def own_of(shortlist: Shortlist, source: Ids) -> list[int]:
    found: list[int] = shortlist.of(source, np.zeros_like(source))[0].tolist()
    return found


def test_a_sentence_has_its_likeliest_tokens_whoever_is_asked_for_with_it(few: Parts) -> None:
    sources = sentences(LENGTHS)
    ids, _, segments = pack_ids(sources)
    expected = [expected_own(few.words, source, OWN) for source in sources]
    assert few.shortlist.of(ids, segments).tolist() == expected
    assert [own_of(few.shortlist, source) for source in sources] == expected


def test_its_own_tokens_are_all_different_and_none_is_common(few: Parts) -> None:
    for source in sentences(LENGTHS):
        own = own_of(few.shortlist, source)
        assert len(set(own)) == OWN
        assert not set(own) & set(few.words.common.tolist())


@pytest.mark.parametrize("length", [1, 9])
def test_where_nothing_is_likely_frequent_tokens_fill_the_list(
    network: Transformer, length: int
) -> None:
    known = lexicon(COMMON)
    knows_nothing = Lexicon(
        known.common, known.others, known.targets[:, :1] * 0 + 63, known.chances[:, :1] * 0
    )
    graph = shortlist_graph(network, knows_nothing, 1.0, OWN).graph
    shortlist = opened(open_session(graph.SerializeToString()), COMMON, OWN)
    expected = sorted({*known.others[:OWN].tolist(), 63})[:OWN]
    assert own_of(shortlist, sentences([length])[0]) == expected


def test_a_very_long_sentence_may_be_as_sure_of_a_token_as_it_likes(network: Transformer) -> None:
    """More than weights have bits for: then it comes first, and others keep their order."""
    known = lexicon(COMMON)
    sure = Lexicon(known.common, known.others, known.targets[:, :2], known.chances[:, :2] * 0 + 1)
    graph = shortlist_graph(network, sure, 1.0, OWN).graph
    shortlist = opened(open_session(graph.SerializeToString()), COMMON, OWN)
    token = 5
    first, second = sorted(known.targets[token, :2].tolist())
    assert own_of(shortlist, np.full(300, token))[:2] == [first, second]


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
        allowed = {*own_of(few.shortlist, source.ids), *few.words.common.tolist()}
        assert set(answer.ids) <= allowed


def test_a_beam_is_no_wider_than_its_candidates_allow(few: Parts) -> None:
    widest = (COMMON + OWN) // 2
    few.generator().check(Source(sentences([4])[0], widest))
    with pytest.raises(Exception, match=f"1 to {widest}"):
        few.generator().check(Source(sentences([4])[0], widest + 1))


def test_a_decoder_with_candidates_does_not_open_without_a_shortlist(few: Parts) -> None:
    with pytest.raises(GraphMismatch, match="candidate_ids"):
        Generator(few.encoder, few.short, SPEC)


def test_a_shortlist_does_not_open_beside_a_decoder_that_scores_all(few: Parts) -> None:
    with pytest.raises(GraphMismatch, match="takes no candidates"):
        Generator(few.encoder, few.whole, SPEC, 32, few.tables)


def test_tables_for_another_decoder_do_not_open_beside_this_one(
    few: Parts, every_token: Parts
) -> None:
    with pytest.raises(GraphMismatch, match="common_ids"):
        Generator(few.encoder, few.short, SPEC, 32, every_token.tables)

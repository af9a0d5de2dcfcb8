from dataclasses import replace

import pytest
import torch

from export.convert.text_graph import text_graph
from export.networks.kinds import TEXT_KINDS, TextKind
from export.networks.text import TextNetwork
from export.padding import pad
from export.tokens import PAD_ID
from export.transfer.errors import TransferError
from export.transfer.source import Checkpoint
from export.transfer.texts import start_text_network
from tests.export.tiny_networks import TEXTS, ids, text_network, with_votes
from tests.export.transfer.published import published

LABELS = ("bad", "fair", "good")
ROWS = pad(ids([3, 9, 1], TEXTS.vocabulary), PAD_ID)
PLAIN = replace(TEXTS, vocabulary=7, embedding=5, hidden=4, kernels=(9,), head_dropout=0.125)


def checkpoint(network: TextNetwork) -> Checkpoint:
    return Checkpoint("tiny.pt", network.state_dict(), tokenizer=None)


@torch.no_grad()
def logits(network: TextNetwork) -> torch.Tensor:
    return network.eval()(ROWS)


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_published_graph_gives_the_network_back(kind: TextKind) -> None:
    network = text_network(kind)
    found = start_text_network(published([text_graph(network)], LABELS), LABELS, None, PLAIN)
    torch.testing.assert_close(logits(found), logits(network))
    assert found.config == replace(network.config, kernels=found.config.kernels, head_dropout=0.125)


def test_votes_come_along_where_the_labels_agree() -> None:
    network = with_votes(text_network())
    source = published([text_graph(network)], LABELS)
    torch.testing.assert_close(
        logits(start_text_network(source, LABELS, None, PLAIN)), logits(network)
    )
    assert start_text_network(source, ("a", "b", "c"), None, PLAIN).votes is None


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_checkpoint_gives_the_network_back(kind: TextKind) -> None:
    network = text_network(kind)
    found = start_text_network(checkpoint(network), LABELS, kind, PLAIN)
    torch.testing.assert_close(logits(found), logits(network))


def test_other_labels_get_a_new_head_on_what_was_learnt() -> None:
    network = text_network()
    for source in (published([text_graph(network)], LABELS), checkpoint(network)):
        found = start_text_network(source, ("no", "yes"), None, PLAIN)
        assert logits(found).shape == (3, 2)
        assert torch.equal(found.embedding.weight, network.embedding.weight)
        torch.testing.assert_close(
            found.reader.get_parameter("back.weight_hh_l0"),
            network.reader.get_parameter("back.weight_hh_l0"),
        )


def test_as_many_labels_of_other_names_get_a_new_head_too() -> None:
    network = text_network()
    source = published([text_graph(network)], LABELS)
    found = start_text_network(source, ("a", "b", "c"), None, PLAIN)
    assert not torch.equal(found.head.weight, network.head.weight)


def test_another_kind_than_the_sources_is_refused() -> None:
    source = published([text_graph(text_network("gru"))], LABELS)
    with pytest.raises(TransferError, match="tiny is a gru: give --network gru, or none"):
        start_text_network(source, LABELS, "cnn", PLAIN)


def test_weights_of_something_else_are_refused() -> None:
    foreign = Checkpoint("x.pt", {"layer.weight": torch.ones(2, 2)}, None)
    with pytest.raises(TransferError, match=r"x\.pt holds no text network"):
        start_text_network(foreign, LABELS, None, PLAIN)
    more = {**text_network().state_dict(), "layer.weight": torch.ones(2, 2)}
    with pytest.raises(TransferError, match=r"another network: layer\.weight"):
        start_text_network(Checkpoint("x.pt", more, None), LABELS, None, PLAIN)

from dataclasses import replace

import pytest
import torch

from export.convert.transformer_graphs import transformer_graphs
from export.networks.transformer import Transformer, TransformerConfig
from export.transfer.errors import TransferError
from export.transfer.source import Checkpoint, Published
from export.transfer.translations import is_turned, start_translator
from tests.export.tiny_networks import SPEC, TRANSLATIONS, sentences, transformer
from tests.export.transfer.published import published

PLAIN = TransformerConfig(vocabulary=7, heads=TRANSLATIONS.heads, max_tokens=64, dropout=0.3)


def source() -> Published:
    graphs = transformer_graphs(transformer())
    return published([graphs.encoder, graphs.decoder], spec=SPEC)


@torch.no_grad()
def logits(network: Transformer) -> torch.Tensor:
    pair = [torch.from_numpy(sentences([9], seed)[0])[None] for seed in (0, 1)]
    return network.eval()(*pair)


def test_two_published_graphs_give_the_network_back() -> None:
    found = start_translator(source(), ("en", "de"), PLAIN)
    torch.testing.assert_close(logits(found), logits(transformer()), rtol=1e-4, atol=1e-4)
    assert found.config.dropout == 0.3
    assert (found.config.encoder_layers, found.config.decoder_layers) == (2, 2)


def test_graphs_that_hold_queries_keys_and_values_in_one_give_it_back_too() -> None:
    apart = source()
    constants = dict(apart.constants)
    for layer in ("encoder.0.query_key_value", "encoder.1.query_key_value"):
        for part in ("weight", "bias"):
            held = [constants.pop(f"{layer}.{i}.{part}") for i in range(3)]
            constants[f"{layer}.{part}"] = torch.cat(held, dim=-1)
    found = start_translator(replace(apart, constants=constants), ("en", "de"), PLAIN)
    torch.testing.assert_close(logits(found), logits(transformer()), rtol=1e-4, atol=1e-4)


def test_a_checkpoint_gives_the_network_back() -> None:
    checkpoint = Checkpoint("a.pt", transformer().state_dict(), None)
    assert torch.equal(
        logits(start_translator(checkpoint, ("en", "de"), PLAIN)), logits(transformer())
    )


def test_the_other_way_round_begins_with_the_same_network() -> None:
    turned = start_translator(source(), ("de", "en"), PLAIN)
    torch.testing.assert_close(logits(turned), logits(transformer()), rtol=1e-4, atol=1e-4)


def test_a_turn_is_known_where_the_source_tells_its_languages() -> None:
    assert is_turned(source(), ("de", "en"))
    assert not is_turned(source(), ("en", "de"))
    assert not is_turned(Checkpoint("a.pt", transformer().state_dict(), None), ("de", "en"))
    assert not is_turned(None, ("de", "en"))


@pytest.mark.parametrize("languages", [("en", "fr"), ("fr", "en"), ("de", "fr"), ("fr", "de")])
def test_other_languages_are_refused(languages: tuple[str, str]) -> None:
    with pytest.raises(TransferError, match=f"translates en-de, and this is {'-'.join(languages)}"):
        start_translator(source(), languages, PLAIN)


def test_weights_of_something_else_are_refused() -> None:
    with pytest.raises(TransferError, match="no translation network"):
        start_translator(Checkpoint("a.pt", {"x": torch.ones(2)}, None), ("en", "de"), PLAIN)
    partial = transformer().state_dict()
    del partial["encoder.1.attention.output.bias"]
    with pytest.raises(TransferError, match=r"another network: see encoder\.1\.attention\.outp"):
        start_translator(Checkpoint("a.pt", partial, None), ("en", "de"), PLAIN)

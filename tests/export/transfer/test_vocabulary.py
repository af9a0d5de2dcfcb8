"""A translator with another vocabulary begins with what the old tokens meant."""

import pytest
import torch
from tokenizers import Tokenizer, models

from export.networks.transformer import TransformerConfig
from export.tokens import EOS_ID, train_translation_tokenizer
from export.transfer.errors import TransferError
from export.transfer.source import Checkpoint
from export.transfer.translations import start_translator
from export.transfer.vocabulary import Respelling
from tests.export.tiny_networks import TRANSLATIONS, transformer

TEXTS = ["the older the violin", "the other leather lath", "tho oath", "earth and hearth"] * 5


@pytest.fixture(scope="module")
def old() -> Tokenizer:
    return train_translation_tokenizer(TEXTS, 262)


@pytest.fixture(scope="module")
def new() -> Tokenizer:
    return train_translation_tokenizer(TEXTS, 274)


def test_a_new_token_begins_as_the_mean_of_those_that_spell_it(
    old: Tokenizer, new: Tokenizer
) -> None:
    table = torch.arange(262.0)[:, None] ** 2 * torch.tensor([1.0, -1.0])
    found = Respelling(old, new).rows(table, 280)
    longer = sorted(set(new.get_vocab()) - set(old.get_vocab()))
    assert len(longer) == 12
    for token in longer:
        parts = [part.id for part in old.model.tokenize(token)]
        assert len(parts) > 1
        torch.testing.assert_close(found[new.token_to_id(token)], table[parts].mean(0))


def test_tokens_that_both_know_keep_what_they_were(old: Tokenizer, new: Tokenizer) -> None:
    bias = torch.arange(262.0)
    found = Respelling(old, new).rows(bias, 280)
    for token, place in old.get_vocab().items():
        assert found[new.token_to_id(token)] == bias[place]
    assert found[EOS_ID] == bias[EOS_ID]
    assert not found[274:].any()


def test_a_vocabulary_that_cannot_spell_a_token_is_refused(new: Tokenizer) -> None:
    with pytest.raises(TransferError, match="the old vocabulary cannot spell"):
        Respelling(Tokenizer(models.BPE()), new).rows(torch.zeros(1), 280)


def test_the_rest_of_the_network_stays_as_it_was(old: Tokenizer, new: Tokenizer) -> None:
    config = TransformerConfig(384, width=TRANSLATIONS.width, heads=2, max_tokens=64)
    known = transformer().state_dict()
    known["embedding.weight"] = torch.randn(262, TRANSLATIONS.width)
    known["output_bias"] = torch.randn(262)
    network = start_translator(
        Checkpoint("a.pt", dict(known), None), ("en", "de"), config, Respelling(old, new)
    )
    assert network.embedding.weight.shape == (384, TRANSLATIONS.width)
    for name, value in network.state_dict().items():
        if name not in ("embedding.weight", "output_bias"):
            assert torch.equal(value, known[name])

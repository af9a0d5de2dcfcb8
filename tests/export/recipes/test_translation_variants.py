"""What a translator is published as: a shortlist where there is much to leave out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from export.networks.transformer import Transformer
from export.quantize.shortlist import COMMON, OWN
from export.recipes.translation_training import EncodedPairs
from export.recipes.translation_variants import SMALLEST_VOCABULARY, variants
from service.runtime.generate import Generator
from service.runtime.session import open_session
from service.runtime.shortlist import Shortlist
from tests.export.tiny_networks import EOS, SPEC, TRANSLATIONS, Source


def pairs(vocabulary: int, count: int = 400) -> EncodedPairs:
    """Each source token n stands for the target token n + 1."""
    random = np.random.default_rng(1)
    bodies = [random.integers(3, vocabulary - 1, 6) for _ in range(count)]
    return EncodedPairs(
        [np.append(body, EOS) for body in bodies], [np.append(body + 1, EOS) for body in bodies]
    )


def network(vocabulary: int) -> Transformer:
    torch.manual_seed(0)
    return Transformer(replace(TRANSLATIONS, vocabulary=vocabulary)).eval()


@pytest.mark.parametrize(
    ("vocabulary", "roles"),
    [
        (SMALLEST_VOCABULARY, {"encoder", "decoder", "shortlist"}),
        (SMALLEST_VOCABULARY - 128, {"encoder", "decoder"}),
    ],
    ids=["large vocabulary", "small vocabulary"],
)
def test_only_a_large_vocabulary_is_cut_short_and_only_in_int8(
    vocabulary: int, roles: set[str]
) -> None:
    known = pairs(vocabulary)
    made = variants(network(vocabulary), known, known)
    assert set(made["fp32"]) == {"encoder", "decoder"}
    assert set(made["int8"]) == roles


def test_the_shortlist_knows_the_words_of_the_training_pairs() -> None:
    known = pairs(SMALLEST_VOCABULARY, 1000)  # so many that not all their tokens are common
    graphs = variants(network(SMALLEST_VOCABULARY), known, known)["int8"]
    opened = {role: open_session(graph.SerializeToString()) for role, graph in graphs.items()}
    spec = SPEC.model_copy(update={"vocabulary": SMALLEST_VOCABULARY})
    shortlist = Shortlist(opened["shortlist"], spec, COMMON + OWN, OWN)
    common = set(shortlist.common_ids.tolist())
    assert EOS in common
    needed = 0
    for source, target in zip(known.sources[:40], known.targets[:40], strict=True):
        (own,) = shortlist.of(source, np.zeros_like(source)).tolist()
        needed += len(set(own) & set(target.tolist()))
        assert set(target.tolist()) <= {*own, *common}
    assert needed > 20
    runner = Generator(opened["encoder"], opened["decoder"], spec, 4, opened["shortlist"])
    assert len(runner.run([Source(known.sources[0])])) == 1

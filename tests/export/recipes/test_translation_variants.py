"""What a translator is published as: a shortlist where there is much to leave out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from export.networks.transformer import Transformer
from export.quantize.shortlist import CANDIDATES
from export.recipes.translation_training import EncodedPairs
from export.recipes.translation_variants import SMALLEST_VOCABULARY, variants
from service.runtime.generate import Generator
from service.runtime.session import open_session
from service.runtime.shortlist import Shortlist
from tests.export.tiny_networks import EOS, SPEC, TRANSLATIONS, Ids, Source


def pairs(vocabulary: int) -> EncodedPairs:
    """Each source token n stands for the target token n + 1."""
    random = np.random.default_rng(1)
    bodies = [random.integers(3, vocabulary - 1, 6) for _ in range(400)]
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
    known = pairs(SMALLEST_VOCABULARY)
    graphs = variants(network(SMALLEST_VOCABULARY), known, known)["int8"]
    opened = {role: open_session(graph.SerializeToString()) for role, graph in graphs.items()}
    spec = SPEC.model_copy(update={"vocabulary": SMALLEST_VOCABULARY})
    shortlist = Shortlist(opened["shortlist"], spec, CANDIDATES)
    source: Ids = known.sources[0]
    (found,) = shortlist.of(source, np.zeros_like(source)).tolist()
    assert set(known.targets[0]) <= set(found)
    runner = Generator(opened["encoder"], opened["decoder"], spec, 4, opened["shortlist"])
    assert len(runner.run([Source(source)])) == 1

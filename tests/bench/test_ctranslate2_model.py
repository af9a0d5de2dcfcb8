"""The same weights in CTranslate2 give the same translations: otherwise nothing is compared."""

from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bench.agreement import tokens
from bench.ctranslate2_model import vocabulary_map, write
from export.convert.transformer_graphs import transformer_graphs
from service.runtime.generate import Generator
from service.runtime.session import open_session
from tests.export.tiny_networks import SPEC, Source, sentences, transformer

SENTENCES = sentences([3, 5, 8, 2, 13, 4, 21, 6, 9, 17] * 2)


def graphs(seed: int = 0) -> tuple[bytes, bytes]:
    made = transformer_graphs(transformer(seed))
    return made.encoder.SerializeToString(), made.decoder.SerializeToString()


def ours(encoder: bytes, decoder: bytes) -> list[tuple[list[int], bool]]:
    generator = Generator(
        open_session(encoder, providers=("cpu",), threads=1),
        open_session(decoder, providers=("cpu",), threads=1),
        SPEC,
    )
    found: Any = generator.run([Source(ids) for ids in SENTENCES])
    return [(list(answer.ids), answer.finished) for answer in found]


def theirs(folder: Path) -> list[list[int]]:
    translator = ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)
    results = translator.translate_batch(
        [tokens(ids) for ids in SENTENCES], beam_size=1, max_decoding_length=SPEC.max_target_tokens
    )
    return [[int(token[1:]) for token in result.hypotheses[0]] for result in results]


def test_both_translate_alike(tmp_path: Path) -> None:
    encoder, decoder = graphs()
    write(encoder, decoder, SPEC, tmp_path)
    translations = ours(encoder, decoder)
    assert len({tuple(ids) for ids, _ in translations}) > 5
    assert sum(finished for _, finished in translations) > 10
    for (ids, finished), other in zip(translations, theirs(tmp_path), strict=True):
        # what we cut off is the beginning of what they went on with
        assert (other if finished else other[: len(ids)]) == ids


@pytest.mark.parametrize("graph", [0, 1], ids=["encoder", "decoder"])
def test_every_weight_counts(tmp_path: Path, graph: int) -> None:
    """A weight that the converter forgot would not change what CTranslate2 does."""
    both = list(graphs())
    write(both[0], both[1], SPEC, tmp_path / "before")
    before = (tmp_path / "before" / "model.bin").read_bytes()
    model = onnx.load_model_from_string(both[graph])
    for place, one in enumerate(model.graph.initializer):
        values = numpy_helper.to_array(one)
        if values.dtype != np.float32 or values.ndim == 0 or one.name == "embedding":
            continue
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        changed.graph.initializer[place].CopyFrom(
            numpy_helper.from_array(values + np.float32(1.0), one.name)
        )
        pair = [*both[:graph], changed.SerializeToString(), *both[graph + 1 :]]
        folder = tmp_path / str(place)
        write(pair[0], pair[1], SPEC, folder)
        assert (folder / "model.bin").read_bytes() != before, one.name


def test_a_vocabulary_map_has_the_common_tokens_and_each_source_tokens_likeliest() -> None:
    tables = {
        "common_ids": np.array([2, 7]),
        "likely_ids": np.array([np.arange(20, 30), np.arange(30, 40), np.arange(40, 50)]),
        "likely_chances": np.array([[9] * 10, [9, 8] + [0] * 8, [0] * 10]),
    }
    expected = ["\tt2 t7", "t0\tt20 t21 t22 t23 t24 t25 t26 t27", "t1\tt30 t31"]
    assert vocabulary_map(tables).splitlines() == expected

"""Puts a published translation model's own weights into CTranslate2, so that both can be compared.

    python -m bench.ctranslate2_model build/bench/ct2     # convert, and compare 100 translations

Reads the fp32 graphs by the names that their weights have there; CTranslate2 quantizes them
itself when it loads them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ctranslate2.specs import TransformerSpec
from numpy.typing import NDArray
from onnx import numpy_helper

from bench.place import ROOT
from model_zoo.catalog import PublishedModel
from model_zoo.preprocessing import TranslationInput
from service.runtime.session import open_session

Weights = Mapping[str, NDArray[np.float32]]
MAP_FILE = "vmap.txt"  # where CTranslate2 looks for one
MAPPED = 8  # targets of a source token; a sentence of ours has 64, however long it is
LAYER = re.compile(r"^encoder\.(\d+)\.")


def convert(published: PublishedModel, folder: Path) -> Path:
    """Write the folder that `ctranslate2.Translator` opens; anything in it is replaced."""
    spec = published.manifest.preprocessing
    assert isinstance(spec, TranslationInput)
    graphs = {
        graph.role: published.read(graph.file)
        for graph in published.manifest.variant("fp32").graphs
    }
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write(graphs["encoder"], graphs["decoder"], spec, folder)
    for graph in published.manifest.variant("int8").graphs:
        if graph.role == "shortlist":
            tables = open_session(published.read(graph.file)).run({})
            (folder / MAP_FILE).write_text(vocabulary_map(tables))
    return folder


def vocabulary_map(tables: Mapping[str, NDArray[Any]]) -> str:
    """Our shortlist as CTranslate2 takes one: a line for each source token, and first one for all,
    https://opennmt.net/CTranslate2/decoding.html. Candidates are those of the whole batch there."""
    lines = ["\t" + _named(tables["common_ids"])]
    likely = zip(tables["likely_ids"], tables["likely_chances"], strict=True)
    for source, (ids, chances) in enumerate(likely):
        first = ids[:MAPPED][chances[:MAPPED] > 0]
        if len(first):
            lines.append(f"t{source}\t{_named(first)}")
    return "\n".join(lines) + "\n"


def _named(ids: NDArray[np.integer[Any]]) -> str:
    return " ".join(f"t{number}" for number in ids)


def write(encoder: bytes, decoder: bytes, spec: TranslationInput, folder: Path) -> None:
    """The two fp32 graphs as one CTranslate2 model; tokens are called t0, t1, …"""
    weights = [_weights(encoder), _weights(decoder)]
    layers = 1 + max(int(found[1]) for name in weights[0] if (found := LAYER.match(name)))
    made = TransformerSpec.from_config((layers, spec.layers), spec.heads, pre_norm=True)
    _fill_encoder(made.encoder, weights[0])
    _fill_decoder(made.decoder, weights[1], weights[0])
    tokens = [f"t{number}" for number in range(spec.vocabulary)]
    made.register_source_vocabulary(tokens)
    made.register_target_vocabulary(tokens)
    made.config.decoder_start_token = made.config.bos_token = f"t{spec.bos_id}"
    made.config.eos_token = f"t{spec.eos_id}"
    made.config.unk_token = f"t{spec.pad_id}"
    made.config.add_source_bos = made.config.add_source_eos = False
    made.validate()
    made.optimize()
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder))


def _weights(graph: bytes) -> Weights:
    model = onnx.load_model_from_string(graph)
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def _fill_encoder(stack: Any, weights: Weights) -> None:
    _fill_embeddings(stack, stack.embeddings[0], weights)
    _norm(stack.layer_norm, weights, "encoder_norm")
    for number, layer in enumerate(stack.layer):
        name = f"encoder.{number}"
        _self_attention(layer.self_attention, weights, name)
        _feed_forward(layer.ffn, weights, name)


def _fill_decoder(stack: Any, weights: Weights, of_encoder: Weights) -> None:
    _fill_embeddings(stack, stack.embeddings, weights)
    _norm(stack.layer_norm, weights, "decoder_norm")
    _linear(stack.projection, weights, "output")
    for number, layer in enumerate(stack.layer):
        name = f"decoder.{number}"
        _self_attention(layer.self_attention, weights, name)
        _norm(layer.attention.layer_norm, weights, f"{name}.cross_norm")
        _linear(layer.attention.linear[0], weights, f"{name}.cross_query")
        # in our graphs the encoder computes these, once a sentence
        _linear(layer.attention.linear[1], of_encoder, f"{name}.cross_key_value")
        _linear(layer.attention.linear[2], weights, f"{name}.cross_attention.output")
        _feed_forward(layer.ffn, weights, name)


def _fill_embeddings(stack: Any, table: Any, weights: Weights) -> None:
    """Our tables are stored multiplied; CTranslate2 multiplies by the root of the width."""
    scaled = weights["embedding"]
    table.weight = scaled / np.float32(scaled.shape[1] ** 0.5)
    stack.scale_embeddings = True
    stack.position_encodings.encodings = weights["positions"]


def _self_attention(block: Any, weights: Weights, name: str) -> None:
    _norm(block.layer_norm, weights, f"{name}.attention_norm")
    _linear(block.linear[0], _joined(weights, f"{name}.query_key_value"), f"{name}.query_key_value")
    _linear(block.linear[1], weights, f"{name}.attention.output")


def _joined(weights: Weights, name: str) -> Weights:
    """Query, key and value as one product, where a graph has three."""
    if f"{name}.weight" in weights:
        return weights
    return {
        f"{name}.{kind}": np.concatenate([weights[f"{name}.{i}.{kind}"] for i in range(3)], axis=-1)
        for kind in ("weight", "bias")
    }


def _feed_forward(block: Any, weights: Weights, name: str) -> None:
    _norm(block.layer_norm, weights, f"{name}.feed_forward_norm")
    _linear(block.linear_0, weights, f"{name}.feed_forward.0")
    _linear(block.linear_1, weights, f"{name}.feed_forward.2")


def _linear(layer: Any, weights: Weights, name: str) -> None:
    layer.weight = np.ascontiguousarray(weights[f"{name}.weight"].T)
    layer.bias = weights[f"{name}.bias"]


def _norm(layer: Any, weights: Weights, name: str) -> None:
    layer.gamma, layer.beta = weights[f"{name}.scale"], weights[f"{name}.bias"]


def main() -> int:
    """Convert the newest translation model and say how far both agree."""
    from bench.agreement import compare
    from bench.opened import newest

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, default=ROOT / "model_zoo")
    options = parser.parse_args()
    published = newest(options.models, "translation")
    convert(published, options.folder)
    for precision, found in compare(published, options.folder).items():
        print(f"{precision}: {found.same} of {found.count} translations are the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())

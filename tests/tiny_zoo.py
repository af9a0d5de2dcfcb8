"""A model zoo of three tiny models: real graphs, real tokenizers, real files."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from model_zoo.catalog import Catalog
from model_zoo.manifest import (
    ArtefactFile,
    Evidence,
    Graph,
    ImageInput,
    Manifest,
    Measurement,
    Preprocessing,
    Provenance,
    TensorSpec,
    TextInput,
    Variant,
)
from service.runtime.transformer import decoder_signature, encoder_signature
from tests.runtime.graphs import GraphBuilder
from tests.runtime.tiny_transformer import (
    SPEC,
    VOCABULARY,
    Weights,
    decoder_graph,
    encoder_graph,
)

IMAGES, TEXTS, TRANSLATOR = "tiny-cnn", "tiny-reviews", "tiny-en-de"
LABELS = ("red", "green", "blue")
FEELINGS = ("negative", "positive")
SIDE = 8
MAX_TOKENS = 64
LETTERS = [chr(code) for code in range(32, 127)]


def cnn_graph(seed: int = 0) -> bytes:
    """Average colour to logits: the label names the strongest channel, whatever the weights."""
    random = np.random.default_rng(seed)
    g = GraphBuilder()
    g.input("pixel_values", "float32", ["N", 3, SIDE, SIDE])
    g.output("logits", "float32", ["N", 3])
    spread = random.normal(0, 0.01, (3, 3, 3, 3)).astype(np.float32)
    spread[range(3), range(3), 1, 1] += 1
    features = g.op("Conv", "pixel_values", g.constant(spread), pads=[1, 1, 1, 1])
    pooled = g.op("ReduceMean", features, g.ints(2, 3), keepdims=0)
    g.op_to("logits", "Mul", pooled, g.constant(4.0))
    return g.serialize()


def text_graph(vocabulary: int) -> bytes:
    """Mean of the tokens' values to two logits; padding does not count."""
    random = np.random.default_rng(1)
    g = GraphBuilder()
    g.input("input_ids", "int64", ["N", "T"])
    g.input("attention_mask", "int64", ["N", "T"])
    g.output("logits", "float32", ["N", 2])
    table = random.normal(size=(vocabulary, 2)).astype(np.float32)
    values = g.op("Gather", g.constant(table), "input_ids")
    mask = g.op("Unsqueeze", g.op("Cast", "attention_mask", to=1), g.ints(2))
    total = g.op("ReduceSum", g.op("Mul", values, mask), g.ints(1), keepdims=0)
    g.op_to("logits", "Div", total, g.op("ReduceSum", mask, g.ints(1), keepdims=0))
    return g.serialize()


def letter_tokenizer(size: int) -> bytes:
    """One token a character; ids 0 to 2 are special, and what is no ASCII letter is dropped."""
    words = ["<pad>", "<s>", "</s>", *LETTERS]
    words += [f"<unused{n}>" for n in range(size - len(words))]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(["<pad>", "<s>", "</s>"])
    text: str = tokenizer.to_str()
    return text.encode()


def build(root: Path) -> Catalog:
    """Publish the three models below `root`."""
    catalog = Catalog(root)
    publish_images(catalog)
    publish_texts(catalog)
    publish_translator(catalog)
    return catalog


def publish_images(catalog: Catalog, name: str = IMAGES, version: int = 1, seed: int = 0) -> None:
    publish(
        catalog,
        name=name,
        version=version,
        task="image-classification",
        labels=LABELS,
        preprocessing=ImageInput(
            height=SIDE,
            width=SIDE,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            interpolation="bilinear",
            fit="squash",
        ),
        inputs=(TensorSpec(name="pixel_values", dtype="float32", shape=("N", 3, SIDE, SIDE)),),
        outputs=(TensorSpec(name="logits", dtype="float32", shape=("N", len(LABELS))),),
        graphs={"model": cnn_graph(seed)},
    )


def publish_texts(catalog: Catalog) -> None:
    ids = ("N", "T")
    publish(
        catalog,
        name=TEXTS,
        task="text-classification",
        labels=FEELINGS,
        preprocessing=TextInput(max_tokens=MAX_TOKENS, pad_id=0),
        inputs=(
            TensorSpec(name="input_ids", dtype="int64", shape=ids),
            TensorSpec(name="attention_mask", dtype="int64", shape=ids),
        ),
        outputs=(TensorSpec(name="logits", dtype="float32", shape=("N", len(FEELINGS))),),
        graphs={"model": text_graph(128)},
        files={"tokenizer.json": letter_tokenizer(128)},
    )


def publish_translator(catalog: Catalog) -> None:
    weights = Weights()
    encoder, decoder = encoder_signature(SPEC), decoder_signature(SPEC)
    publish(
        catalog,
        name=TRANSLATOR,
        task="translation",
        preprocessing=SPEC,
        inputs=tuple(_spec(t.name, t.dtype, t.shape) for t in encoder.inputs),
        outputs=tuple(_spec(t.name, t.dtype, t.shape) for t in decoder.outputs[:2]),
        graphs={"encoder": encoder_graph(weights), "decoder": decoder_graph(weights)},
        files={"tokenizer.json": letter_tokenizer(VOCABULARY)},
    )


def publish(
    catalog: Catalog,
    *,
    name: str,
    graphs: Mapping[Any, bytes],
    preprocessing: Preprocessing,
    version: int = 1,
    files: Mapping[str, bytes] | None = None,
    **fields: Any,
) -> None:
    named = {f"{role}.onnx": (role, graph) for role, graph in graphs.items()}
    manifest = Manifest(
        name=name,
        version=version,
        description="A tiny model of random weights, for tests.",
        preprocessing=preprocessing,
        variants=(
            Variant(
                precision="fp32",
                graphs=tuple(
                    Graph(role=role, **_promise(file, graph))
                    for file, (role, graph) in named.items()
                ),
                providers=("cpu",),
                evidence=Evidence(accuracy=(_measurement(),)),
            ),
        ),
        files=tuple(ArtefactFile(**_promise(file, data)) for file, data in (files or {}).items()),
        provenance=_provenance(),
        **fields,
    )
    contents = {file: graph for file, (_, graph) in named.items()}
    catalog.publish(manifest, {**contents, **(files or {})})


def _spec(name: str, dtype: Any, shape: tuple[int | str, ...]) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def _promise(file: str, data: bytes) -> dict[str, Any]:
    return {"file": file, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _measurement() -> Measurement:
    return Measurement(dataset="none", split="test", metric="accuracy", value=0.5, items=1)


def _provenance() -> Provenance:
    return Provenance(
        datasets=(),
        git_commit="",
        seed=0,
        torch="",
        onnx="1",
        onnxruntime="1",
        opset=21,
        created="2026-01-01T00:00:00Z",
        training_seconds=0,
        machine="none",
        command="tests",
    )

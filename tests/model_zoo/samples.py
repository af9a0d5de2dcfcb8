"""Small manifests that are right, for tests that then make one thing wrong."""

import hashlib

from model_zoo.manifest import (
    ArtefactFile,
    Graph,
    ImageInput,
    Manifest,
    Preprocessing,
    Provenance,
    Role,
    Task,
    TensorSpec,
    TextInput,
    TranslationInput,
    Variant,
)

PROVENANCE = Provenance(
    datasets=(),
    git_commit="0" * 40,
    seed=1,
    torch="2.13.0",
    onnx="1.23.2",
    onnxruntime="1.31.1",
    opset=17,
    created="2026-01-02T03:04:05Z",
    training_seconds=0.0,
    machine="2 cores",
    command="slipway-export",
)
IMAGE = ImageInput(
    height=8, width=8, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bilinear", fit="squash"
)
TEXT = TextInput(max_tokens=16, pad_id=0)
TRANSLATION = TranslationInput(
    source="en",
    target="de",
    max_source_tokens=16,
    max_target_tokens=16,
    pad_id=0,
    bos_id=1,
    eos_id=2,
    layers=1,
    heads=2,
    head_size=4,
    vocabulary=128,
)
X = TensorSpec(name="x", dtype="float32", shape=("batch", 3, 8, 8))
Y = TensorSpec(name="y", dtype="float32", shape=("batch", 2))

Contents = dict[str, bytes]


def promise(file: str, data: bytes) -> ArtefactFile:
    return ArtefactFile(file=file, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def graph(role: Role, file: str, data: bytes) -> Graph:
    return Graph(role=role, **promise(file, data).model_dump())


def image_model(
    name: str = "tiny", version: int = 1, data: bytes = b"graph"
) -> tuple[Manifest, Contents]:
    """A manifest for image classification and the files that it promises."""
    files = {"config.json": b"{}"}
    graphs = (graph("model", "model.onnx", data),)
    manifest = _manifest("image-classification", IMAGE, graphs, files, name=name, version=version)
    return manifest, {"model.onnx": data, **files}


def text_model(name: str = "words") -> tuple[Manifest, Contents]:
    files = {"tokenizer.json": b"{}"}
    graphs = (graph("model", "model.onnx", b"graph"),)
    manifest = _manifest("text-classification", TEXT, graphs, files, name=name)
    return manifest, {"model.onnx": b"graph", **files}


def translation_model(name: str = "en-de") -> tuple[Manifest, Contents]:
    files = {"tokenizer.json": b"{}"}
    graphs = (
        graph("encoder", "encoder_model.onnx", b"encoder"),
        graph("decoder", "decoder_model.onnx", b"decoder"),
    )
    manifest = _manifest("translation", TRANSLATION, graphs, files, name=name)
    return manifest, {"encoder_model.onnx": b"encoder", "decoder_model.onnx": b"decoder", **files}


def _manifest(
    task: Task,
    preprocessing: Preprocessing,
    graphs: tuple[Graph, ...],
    files: Contents,
    *,
    name: str,
    version: int = 1,
) -> Manifest:
    return Manifest(
        name=name,
        version=version,
        task=task,
        description="a model for tests",
        labels=() if task == "translation" else ("cat", "dog"),
        inputs=(X,),
        outputs=(Y,),
        preprocessing=preprocessing,
        variants=(Variant(precision="fp32", graphs=graphs, providers=("cpu",)),),
        files=tuple(promise(file, data) for file, data in files.items()),
        provenance=PROVENANCE,
    )

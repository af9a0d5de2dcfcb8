"""Manifests, tokenizers and pictures, all drawn by rule, for the tests of the tasks."""

import io
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from model_zoo.evidence import Provenance
from model_zoo.manifest import (
    ArtefactFile,
    Graph,
    ImageInput,
    Limits,
    Manifest,
    Role,
    Task,
    TensorSpec,
    TextInput,
    TranslationInput,
    Variant,
)

MEAN = (0.49, 0.48, 0.45)
STD = (0.25, 0.24, 0.26)
PAD, BOS, EOS = 0, 1, 2

SENTENCES = [
    f"{who} {does} {what} in the {where}{mark}"
    for who in ("The dog", "A man", "My sister", "Nobody")
    for does in ("sees", "likes", "eats", "paints")
    for what in ("a red ball", "the old house", "an apple", "three birds")
    for where in ("garden", "street", "morning")
    for mark in (".", "!", "?")
]


def image_input(
    width: int = 32, height: int = 32, *, fit: Any = "squash", interpolation: Any = "bilinear"
) -> ImageInput:
    return ImageInput(
        height=height, width=width, mean=MEAN, std=STD, interpolation=interpolation, fit=fit
    )


def translation_input(max_source_tokens: int = 64, source: str = "en") -> TranslationInput:
    return TranslationInput(
        source=source,
        target="de",
        max_source_tokens=max_source_tokens,
        max_target_tokens=64,
        pad_id=PAD,
        bos_id=BOS,
        eos_id=EOS,
        layers=1,
        heads=1,
        head_size=8,
        vocabulary=512,
    )


def manifest(
    preprocessing: ImageInput | TextInput | TranslationInput,
    labels: tuple[str, ...] = (),
    limits: Limits | None = None,
) -> Manifest:
    tasks: dict[str, Task] = {
        "image": "image-classification",
        "text": "text-classification",
        "translation": "translation",
    }
    task = tasks[preprocessing.kind]
    roles: tuple[Role, ...] = ("encoder", "decoder") if task == "translation" else ("model",)
    graphs = tuple(Graph(file=f"{r}.onnx", bytes=1, sha256="0" * 64, role=r) for r in roles)
    files = (ArtefactFile(file="tokenizer.json", bytes=1, sha256="0" * 64),)
    return Manifest(
        name="sample",
        version=1,
        task=task,
        description="drawn by a test",
        labels=labels,
        inputs=(TensorSpec(name="x", dtype="float32", shape=("batch",)),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=("batch",)),),
        preprocessing=preprocessing,
        variants=(Variant(precision="fp32", graphs=graphs, providers=("cpu",)),),
        files=files,
        limits=limits or Limits(),
        provenance=Provenance(
            datasets=(),
            git_commit="",
            seed=0,
            torch="",
            onnx="",
            onnxruntime="",
            opset=20,
            created="2026-01-01T00:00:00",
            training_seconds=0.0,
            machine="",
            command="",
        ),
    )


@cache
def byte_level_tokenizer() -> bytes:
    """Byte-level BPE with <pad>, <s> and </s>; adds no token by itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer.to_str().encode()


@cache
def word_piece_tokenizer() -> bytes:
    """WordPiece that drops control characters, and adds [CLS] and [SEP]."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str().encode()


def picture(width: int = 32, height: int = 32) -> Image.Image:
    """A smooth picture without any symmetry: red grows to the right, green down, blue both ways."""
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 255 - (x + y) / 2], axis=-1).astype(np.uint8))


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def normalised(image: Image.Image) -> NDArray[np.float32]:
    """What the tensor of an RGB picture of the right size must be, by the definition."""
    x = (np.asarray(image, np.float64) / 255 - MEAN) / STD
    return x.transpose(2, 0, 1).astype(np.float32)

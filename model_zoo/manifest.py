"""The promise of one published model, as written in its `manifest.json`.

Everything that the server must know to answer with the model, and everything that a reader must
know to trust it. Field by field documentation: docs/manifest.md.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from model_zoo.errors import ManifestInvalid
from model_zoo.evidence import (
    DatasetSource,
    Evidence,
    Invariance,
    Measurement,
    Parity,
    Provenance,
)
from model_zoo.fields import FileName, Frozen, Name, NonEmpty, Positive, Sha256
from model_zoo.files import explain, read_regular_file
from model_zoo.preprocessing import ImageInput, Preprocessing, TextInput, TranslationInput
from model_zoo.self_knowledge import Confidence, QualityEstimate, SelfTest

__all__ = [
    "ArtefactFile",
    "Confidence",
    "DType",
    "DatasetSource",
    "Evidence",
    "Graph",
    "ImageInput",
    "Invariance",
    "Limits",
    "Manifest",
    "Measurement",
    "Parity",
    "Precision",
    "Preprocessing",
    "Provenance",
    "Provider",
    "QualityEstimate",
    "Role",
    "SelfTest",
    "Task",
    "TensorSpec",
    "TextInput",
    "TranslationInput",
    "Variant",
    "parse_manifest",
    "read_manifest",
]

MANIFEST_FILE = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = (1 << 31) - 1  # protobuf's own limit, and so a graph's

Task = Literal["image-classification", "text-classification", "translation"]
Precision = Literal["fp32", "int8", "fp16"]
Role = Literal["model", "encoder", "decoder", "decoder_with_past", "shortlist", "reader", "head"]
Provider = Literal["cpu", "cuda", "tensorrt", "openvino"]
DType = Literal["float32", "float16", "int64", "int32", "int8", "uint8", "bool"]

# the sets of graphs that a model may have; Optimum's decoder may need two, ours a shortlist
ROLES: dict[str, list[list[Role]]] = {
    "image-classification": [["model"]],
    "text-classification": [["model"], ["head", "model", "reader"]],
    "translation": [["decoder", "encoder"], ["decoder", "encoder", "shortlist"]],
    "optimum": [["decoder", "encoder"], ["decoder", "decoder_with_past", "encoder"]],
}
PREPROCESSING: dict[Task, str] = {
    "image-classification": "image",
    "text-classification": "text",
    "translation": "translation",
}


class TensorSpec(Frozen):
    """One input or output of a graph; a string in the shape names a dynamic axis."""

    name: NonEmpty
    dtype: DType
    shape: tuple[Positive | NonEmpty, ...]


class ArtefactFile(Frozen):
    """One file in the model's folder, byte for byte."""

    file: FileName
    bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]
    sha256: Sha256


class Graph(ArtefactFile):
    """An ONNX graph and its part in the model."""

    role: Role


class Variant(Frozen):
    """One precision of the model: its graphs, where it runs well, and its evidence."""

    precision: Precision
    graphs: Annotated[tuple[Graph, ...], Field(min_length=1)]
    providers: Annotated[tuple[Provider, ...], Field(min_length=1)]
    needs: tuple[NonEmpty, ...] = ()
    self_test: SelfTest | None = None
    evidence: Evidence = Evidence()

    def graph(self, role: Role) -> Graph:
        """The graph of this role; KeyError if the variant has none."""
        for graph in self.graphs:
            if graph.role == role:
                return graph
        raise KeyError(role)


class Limits(Frozen):
    """What the model accepts; nothing set means no limit of its own."""

    max_tokens: Positive | None = None
    min_image_side: Positive | None = None
    max_image_side: Positive | None = None


class Manifest(Frozen):
    """All of one published version."""

    schema_version: Literal[1] = 1
    name: Name
    version: Positive
    task: Task
    description: str
    labels: tuple[NonEmpty, ...] = ()
    inputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    preprocessing: Preprocessing
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]
    files: tuple[ArtefactFile, ...] = ()
    limits: Limits = Limits()
    confidence: Confidence | None = None
    quality: QualityEstimate | None = None
    provenance: Provenance

    def variant(self, precision: Precision) -> Variant:
        """The variant of this precision; KeyError if there is none."""
        for variant in self.variants:
            if variant.precision == precision:
                return variant
        raise KeyError(precision)

    def artefacts(self) -> dict[str, ArtefactFile]:
        """Every promised file by name, the manifest itself excepted."""
        return {entry.file: entry for entry in self._entries()}

    def _entries(self) -> Iterator[ArtefactFile]:
        for variant in self.variants:
            yield from variant.graphs
        yield from self.files

    @model_validator(mode="after")
    def _is_coherent(self) -> Self:
        for problem in _contradictions(self, tuple(self._entries())):
            raise ValueError(problem)
        return self


def read_manifest(path: Path) -> Manifest:
    """The manifest in this file; raises ManifestInvalid, which names the file and the field."""
    try:
        data = read_regular_file(path.parent, path.name, max_bytes=MAX_MANIFEST_BYTES)
    except OSError as error:
        raise ManifestInvalid(f"{path}: {explain(error)}") from error
    return parse_manifest(data, str(path))


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in these bytes of a file; raises ManifestInvalid, naming `where` and field."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(f"{where}: more than {MAX_MANIFEST_BYTES} bytes")
    try:
        return Manifest.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise ManifestInvalid(f"{where}: {_fields_at_fault(error)}") from error


def _fields_at_fault(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    # a list that lost its only, wrong, item is also reported as too short
    echoes = {found["loc"][:n] for found in problems for n in range(len(found["loc"]))}
    return "; ".join(
        f"{'.'.join(map(str, found['loc'])) or 'manifest'}: {found['msg']}"
        for found in problems
        if found["loc"] not in echoes
    )


def _contradictions(manifest: Manifest, entries: tuple[ArtefactFile, ...]) -> Iterator[str]:
    """What no single field can know: how the fields fit together."""
    if manifest.preprocessing.kind != PREPROCESSING[manifest.task]:
        yield f"preprocessing.kind: {manifest.preprocessing.kind!r} does not suit {manifest.task}"
    yield from _label_problems(manifest)
    if manifest.confidence and manifest.task == "translation":
        yield "confidence: a translation has quality instead"
    if manifest.quality and manifest.task != "translation":
        yield "quality: only a translation has one"
    for precision, count in Counter(v.precision for v in manifest.variants).items():
        if count > 1:
            yield f"variants: {precision} stands {count} times"
    is_optimum = getattr(manifest.preprocessing, "optimum", None) is not None
    allowed = ROLES["optimum" if is_optimum else manifest.task]
    for variant in manifest.variants:
        roles = sorted(graph.role for graph in variant.graphs)
        if roles not in allowed:
            needs = " or ".join(map(str, allowed))
            yield f"variants: {variant.precision} has graphs {roles}, {manifest.task} needs {needs}"
    yield from _file_problems(manifest, entries)


def _label_problems(manifest: Manifest) -> Iterator[str]:
    if manifest.task == "translation":
        if manifest.labels:
            yield "labels: a translation has none"
    elif len(manifest.labels) < 2:
        yield "labels: a classification has at least two"
    if len(set(manifest.labels)) != len(manifest.labels):
        yield "labels: every label must stand once"


def _file_problems(manifest: Manifest, entries: tuple[ArtefactFile, ...]) -> Iterator[str]:
    promised: dict[str, tuple[int, str]] = {}
    for entry in entries:
        if entry.file.lower() == MANIFEST_FILE:
            yield f"files: {MANIFEST_FILE} cannot promise itself"
        # two variants may share a graph, but not two truths about it
        if promised.setdefault(entry.file, (entry.bytes, entry.sha256)) != (
            entry.bytes,
            entry.sha256,
        ):
            yield f"files: {entry.file} is promised twice, with different contents"
    for variant in manifest.variants:
        if variant.self_test and variant.self_test.file not in promised:
            yield f"files: {variant.self_test.file}, which a self-test names, is not listed"
    tokenizer = getattr(manifest.preprocessing, "tokenizer", None)
    if tokenizer is not None and tokenizer not in promised:
        yield f"files: {tokenizer}, which preprocessing names, is not listed"

"""A model on its way to the catalog: its files and promises, opened by the code that serves."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from export.datasets.image_folder import OWN_LIMITS
from export.gates import Answer
from model_zoo.catalog import Catalog, PublishedModel
from model_zoo.manifest import (
    ArtefactFile,
    Evidence,
    Graph,
    Limits,
    Manifest,
    Precision,
    Provider,
    Role,
    TensorSpec,
    Variant,
)
from service.runtime.runner import Runner, make_runner
from service.tasks.registry import AnyTask, make_task

DTYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT8: "int8",
}
FILE_NAMES: dict[Role, str] = {
    "model": "model",
    "encoder": "encoder_model",
    "decoder": "decoder_model",
    "shortlist": "shortlist_model",
    "reader": "reader_model",
    "head": "head_model",
}
PROVIDERS: dict[Precision, tuple[Provider, ...]] = {
    "fp32": ("cpu", "cuda", "tensorrt", "openvino"),
    "int8": ("cpu", "openvino"),
    "fp16": ("cuda", "tensorrt"),
}

Graphs = Mapping[Role, onnx.ModelProto]


@dataclass(frozen=True)
class OpenedVariant:
    """One variant behind the service's own task and runner."""

    task: AnyTask
    runner: Runner
    precision: Precision = "fp32"

    def features(self, raws: Sequence[Any]) -> list[Any]:
        return [self.task.preprocess(part) for raw in raws for part in self.task.split(raw)]

    def rows(self, features: Sequence[Any], batch: int = 32) -> list[Any]:
        """Rows in order; like costs run together, as the scheduler would have it."""
        order = sorted(range(len(features)), key=lambda i: _length(features[i]))
        rows: list[Any] = [None] * len(features)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            for i, row in zip(chosen, self.runner.run([features[i] for i in chosen]), strict=True):
                rows[i] = row
        return rows

    def predict(self, raws: Sequence[Any], batch: int = 32) -> list[Any]:
        """What the service would answer to each item."""
        parts = [self.task.split(raw) for raw in raws]
        features = [self.task.preprocess(part) for of_one in parts for part in of_one]
        answered = [
            self.task.postprocess(item, row)
            for item, row in zip(features, self.rows(features, batch), strict=True)
        ]
        remaining = iter(answered)
        return [
            self.task.join(raw, [next(remaining) for _ in of_one])
            for raw, of_one in zip(raws, parts, strict=True)
        ]


@dataclass(frozen=True)
class Candidate:
    """Graphs by precision and other files, with the manifest that will promise them."""

    manifest: Manifest
    graphs: Mapping[Precision, Mapping[Role, bytes]]
    files: Mapping[str, bytes]
    evidence: dict[Precision, Evidence] = field(default_factory=dict)

    def open(
        self, precision: Precision, threads: int = 1, *, in_one_piece: bool = False
    ) -> OpenedVariant:
        """The variant as the service would open it, on the CPU; `in_one_piece` its whole graph
        where the service would run parts of it."""
        graphs = self.graphs[precision]
        if in_one_piece:
            graphs = {"model": graphs["model"]}
        return OpenedVariant(
            make_task(self.manifest, self.files.__getitem__, OWN_LIMITS),
            make_runner(self.manifest, graphs, threads=threads),
            precision,
        )

    def publish(self, catalog: Catalog, more: Mapping[str, bytes]) -> str:
        """Write the version with all evidence and these further files; returns its folder."""
        files = {**self.files, **more}
        manifest = self.with_evidence(more)
        everything = dict(files)
        for precision, graphs in self.graphs.items():
            for role, content in graphs.items():
                everything[graph_file(role, precision)] = content
        return str(catalog.publish(manifest, everything))

    def with_evidence(self, more: Mapping[str, bytes]) -> Manifest:
        files = {**self.files, **more}
        variants = tuple(
            variant.model_copy(
                update={"evidence": self.evidence.get(variant.precision, variant.evidence)}
            )
            for variant in self.manifest.variants
        )
        listed = tuple(artefact(name, content) for name, content in files.items())
        return Manifest.model_validate(
            {**dict(self.manifest), "variants": variants, "files": listed}
        )


def draft(
    graphs: Mapping[Precision, Graphs],
    files: Mapping[str, bytes],
    *,
    unfit: frozenset[Provider] = frozenset(),
    **fields: Any,
) -> Candidate:
    """A candidate without evidence; `fields` are the manifest's others.

    `unfit` are execution providers that give wrong answers on this kind of graph.
    """
    content = {
        precision: {role: model.SerializeToString() for role, model in of_variant.items()}
        for precision, of_variant in graphs.items()
    }
    reference = graphs["fp32"]
    inputs = reference.get("encoder") or reference["model"]
    outputs = reference.get("decoder") or reference["model"]
    manifest = Manifest(
        inputs=tuple(_tensor(value) for value in inputs.graph.input),
        outputs=tuple(_tensor(value) for value in outputs.graph.output),
        variants=tuple(_variant(name, roles, unfit) for name, roles in content.items()),
        files=tuple(artefact(name, data) for name, data in files.items()),
        **{"limits": Limits(), **fields},
    )
    return Candidate(manifest, content, files)


def with_graphs(
    candidate: Candidate, graphs: Mapping[Precision, Mapping[Role, bytes]]
) -> Candidate:
    """The same candidate with other graphs for the same variants."""
    variants = tuple(
        variant.model_copy(
            update={"graphs": _promised(variant.precision, graphs[variant.precision])}
        )
        for variant in candidate.manifest.variants
    )
    manifest = candidate.manifest.model_copy(update={"variants": variants})
    return replace(candidate, manifest=manifest, graphs=graphs)


def of_published(published: PublishedModel) -> Candidate:
    """A published model as a candidate again, with its evidence, to be examined once more."""
    manifest = published.manifest
    return Candidate(
        manifest,
        {
            variant.precision: {graph.role: published.read(graph.file) for graph in variant.graphs}
            for variant in manifest.variants
        },
        {entry.file: published.read(entry.file) for entry in manifest.files},
        {variant.precision: variant.evidence for variant in manifest.variants},
    )


def without_variant(candidate: Candidate, precision: Precision) -> Candidate:
    """The same candidate with one variant fewer, for a variant that is not worth its bytes."""
    kept = {name: graphs for name, graphs in candidate.graphs.items() if name != precision}
    variants = tuple(v for v in candidate.manifest.variants if v.precision != precision)
    manifest = candidate.manifest.model_copy(update={"variants": variants})
    return replace(candidate, manifest=manifest, graphs=kept)


def graph_file(role: Role, precision: Precision) -> str:
    return f"{FILE_NAMES[role]}{'' if precision == 'fp32' else f'_{precision}'}.onnx"


def artefact(name: str, content: bytes) -> ArtefactFile:
    return ArtefactFile(file=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def answer_of(row: Any) -> Answer:
    """A row of logits or of (ids, score, finished) as a gate compares it."""
    if isinstance(row, tuple):
        return Answer(np.array([row[1]]), tuple(int(i) for i in row[0]))
    powers = np.exp(np.asarray(row, np.float64) - row.max())
    return Answer(powers / powers.sum(), (int(row.argmax()),))


def _variant(
    precision: Precision, roles: Mapping[Role, bytes], unfit: frozenset[Provider]
) -> Variant:
    providers = tuple(name for name in PROVIDERS[precision] if name not in unfit)
    return Variant(precision=precision, graphs=_promised(precision, roles), providers=providers)


def _promised(precision: Precision, roles: Mapping[Role, bytes]) -> tuple[Graph, ...]:
    return tuple(
        Graph(role=role, **dict(artefact(graph_file(role, precision), content)))
        for role, content in roles.items()
    )


def _tensor(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(axis.dim_param or axis.dim_value for axis in kind.shape.dim)
    return TensorSpec.model_validate(
        {"name": value.name, "dtype": DTYPES[kind.elem_type], "shape": shape}
    )


def _length(features: Any) -> int:
    return len(features.ids) if hasattr(features, "ids") else 0

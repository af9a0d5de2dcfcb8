"""The tiny models of the zoo with an int8 variant and a self-test, right or spoiled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from model_zoo.catalog import Catalog
from model_zoo.golden import GOLDEN_FILE, Golden, GoldenRow
from model_zoo.manifest import Graph, Manifest, Precision, Role, SelfTest, Variant
from service.runtime.runner import make_runner
from service.tasks.golden import golden_features, golden_row
from service.tasks.registry import make_task
from tests import tiny_zoo
from tests.model_zoo.samples import promise

TEXTS = ("a good film", "bad", "neither good nor bad")
Graphs = Mapping[Role, bytes]


def saturating(graph: bytes, most: float) -> bytes:
    """The graph with its first output cut at `most`, as sums of 8-bit products may be."""
    return _ending(graph, "Clip", ["whole", "", "added"], most)


def without_numbers(graph: bytes) -> bytes:
    """The graph with a first output that is nothing but NaN."""
    return _ending(graph, "Mul", ["whole", "added"], float("nan"))


def _ending(graph: bytes, operator: str, inputs: list[str], added: float) -> bytes:
    """The graph with one node more, which makes its first output of the `whole` one."""
    model = onnx.load_from_string(graph)
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["whole" if output == name else output for output in node.output]
    number = onnx.helper.make_tensor("added", onnx.TensorProto.FLOAT, [], [added])
    model.graph.initializer.append(number)
    model.graph.node.append(onnx.helper.make_node(operator, inputs, [name]))
    content: bytes = model.SerializeToString()
    return content


def publish(
    root: Path,
    source: Catalog,
    name: str,
    *,
    items: tuple[str, ...] = TEXTS,
    spoil: Mapping[Precision, Graphs] | None = None,
    tolerance: float = 1e-3,
    agreement: float = 1.0,
    tested: tuple[Precision, ...] = ("fp32", "int8"),
) -> Catalog:
    """The model of the zoo as two variants of the same graphs with their self-test; those in
    `spoil` are replaced after the right answers were recorded."""
    published = source.open(name)
    manifest = published.manifest
    graphs: dict[Role, bytes] = {
        graph.role: published.read(graph.file) for graph in manifest.variants[0].graphs
    }
    files = {entry.file: published.read(entry.file) for entry in manifest.files}
    rows = recorded(manifest, graphs, files, items)
    golden = Golden(kind="text", items=items, rows={"fp32": rows, "int8": rows})
    files[GOLDEN_FILE] = golden.model_dump_json().encode()
    test = SelfTest(file=GOLDEN_FILE, items=len(items), tolerance=tolerance, agreement=agreement)
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    contents = {
        precision: {**graphs, **(spoil or {}).get(precision, {})} for precision in precisions
    }
    variants = tuple(
        Variant(
            precision=precision,
            graphs=tuple(_graph(role, precision, data) for role, data in of_variant.items()),
            providers=("cpu",),
            self_test=test if precision in tested else None,
        )
        for precision, of_variant in contents.items()
    )
    everything: dict[str, bytes] = dict(files)
    for precision, of_variant in contents.items():
        everything |= {f"{role}_{precision}.onnx": data for role, data in of_variant.items()}
    fields: dict[str, Any] = {
        **dict(manifest),
        "variants": variants,
        "files": tuple(promise(file, data) for file, data in files.items()),
    }
    catalog = Catalog(root)
    catalog.publish(Manifest.model_validate(fields), everything)
    return catalog


def recorded(
    manifest: Manifest, graphs: Graphs, files: Mapping[str, bytes], items: tuple[str, ...]
) -> tuple[GoldenRow, ...]:
    task = make_task(manifest, files.__getitem__)
    features = golden_features(Golden(kind="text", items=items, rows={}), manifest, task)
    return tuple(golden_row(row) for row in make_runner(manifest, graphs).run(features))


def _graph(role: Role, precision: Precision, data: bytes) -> Graph:
    return Graph(role=role, **dict(promise(f"{role}_{precision}.onnx", data)))


def zoo(root: Path) -> Catalog:
    return tiny_zoo.build(root)

"""The manifest refuses what is wrong, and says in which file and field."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model_zoo.errors import ManifestInvalid
from model_zoo.manifest import (
    MAX_MANIFEST_BYTES,
    Graph,
    Manifest,
    Measurement,
    read_manifest,
)
from tests.model_zoo.samples import image_model, text_model, translation_model

SAMPLES = [image_model, text_model, translation_model]


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "manifest.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def spoiled(manifest: Manifest, *steps: str | int, value: Any) -> str:
    """The manifest's JSON with one field set to `value`."""
    document = json.loads(manifest.model_dump_json())
    place = document
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize("make", SAMPLES)
def test_a_manifest_comes_back_from_its_file_as_it_was(
    tmp_path: Path, make: Callable[[], tuple[Manifest, dict[str, bytes]]]
) -> None:
    manifest, _ = make()
    path = write(tmp_path, manifest.model_dump_json(exclude_none=True))
    assert read_manifest(path) == manifest


@pytest.mark.parametrize(
    ("steps", "value", "field"),
    [
        (("schema_version",), 2, "schema_version"),
        (("name",), "../etc", "name"),
        (("name",), "tiny\n", "name"),
        (("name",), "", "name"),
        (("version",), 0, "version"),
        (("version",), "1", "version"),
        (("version",), True, "version"),
        (("task",), "regression", "task"),
        (("surprise",), 1, "surprise"),
        (("inputs",), [], "inputs"),
        (("inputs", 0, "dtype"), "float", "inputs.0.dtype"),
        (("inputs", 0, "shape"), [-1, 3], "inputs.0.shape.0"),
        (("preprocessing", "std"), [1, 0, 1], "preprocessing.image.std.1"),
        (("preprocessing", "mean"), [0, 0], "preprocessing.image.mean.2"),
        (("preprocessing", "kind"), "sound", "preprocessing"),
        (("variants", 0, "graphs", 0, "file"), "../model.onnx", "variants.0.graphs.0.file"),
        (("variants", 0, "graphs", 0, "file"), "/model.onnx", "variants.0.graphs.0.file"),
        (("variants", 0, "graphs", 0, "file"), "a/../../b", "variants.0.graphs.0.file"),
        (("variants", 0, "graphs", 0, "file"), ".hidden", "variants.0.graphs.0.file"),
        (("variants", 0, "graphs", 0, "sha256"), "A" * 64, "variants.0.graphs.0.sha256"),
        (("variants", 0, "graphs", 0, "bytes"), -1, "variants.0.graphs.0.bytes"),
        (("variants", 0, "graphs", 0, "bytes"), 1 << 40, "variants.0.graphs.0.bytes"),
        (("variants", 0, "providers"), [], "variants.0.providers"),
        (("provenance", "created"), "yesterday", "provenance.created"),
        (("provenance", "seed"), None, "provenance.seed"),
    ],
)
def test_a_wrong_field_is_named_together_with_its_file(
    tmp_path: Path, steps: tuple[str | int, ...], value: Any, field: str
) -> None:
    path = write(tmp_path, spoiled(image_model()[0], *steps, value=value))
    with pytest.raises(ManifestInvalid, match=rf"{re.escape(f'{path}: {field}')}[:.]"):
        read_manifest(path)


def test_a_list_with_one_wrong_item_is_not_said_to_be_empty(tmp_path: Path) -> None:
    graph = ("variants", 0, "graphs", 0)
    path = write(tmp_path, spoiled(image_model()[0], *graph, "sha256", value="0"))
    with pytest.raises(ManifestInvalid) as caught:
        read_manifest(path)
    assert "at least" not in str(caught.value)
    assert ";" not in str(caught.value)


def test_every_wrong_field_is_named_at_once(tmp_path: Path) -> None:
    document = json.loads(image_model()[0].model_dump_json())
    path = write(tmp_path, json.dumps(document | {"name": "", "version": 0}))
    with pytest.raises(ManifestInvalid, match=r"name: .*; version: "):
        read_manifest(path)


@pytest.mark.parametrize(
    ("make", "steps", "value", "words"),
    [
        (image_model, ("task",), "text-classification", "preprocessing.kind: 'image'"),
        (image_model, ("labels",), ["cat"], "labels: a classification has at least two"),
        (image_model, ("labels",), ["cat", "cat"], "labels: every label must stand once"),
        (translation_model, ("labels",), ["de", "en"], "labels: a translation has none"),
        (image_model, ("variants", 0, "graphs", 0, "role"), "encoder", "has graphs"),
        (translation_model, ("variants", 0, "graphs", 1, "role"), "encoder", "has graphs"),
        (image_model, ("files", 0, "file"), "model.onnx", "promised twice"),
        (image_model, ("files", 0, "file"), "manifest.json", "cannot promise itself"),
        (text_model, ("files",), [], "tokenizer.json, which preprocessing names"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    tmp_path: Path,
    make: Callable[[], tuple[Manifest, dict[str, bytes]]],
    steps: tuple[str | int, ...],
    value: Any,
    words: str,
) -> None:
    path = write(tmp_path, spoiled(make()[0], *steps, value=value))
    with pytest.raises(ManifestInvalid, match=words):
        read_manifest(path)


def test_a_precision_may_stand_only_once() -> None:
    manifest, _ = image_model()
    with pytest.raises(ValidationError, match="fp32 stands 2 times"):
        Manifest.model_validate(manifest.model_dump() | {"variants": manifest.variants * 2})


def test_a_role_may_stand_only_once_in_a_variant() -> None:
    manifest, _ = image_model()
    graphs = manifest.variants[0].graphs * 2
    twice = manifest.variants[0].model_copy(update={"graphs": graphs})
    with pytest.raises(ValidationError, match="fp32 has graphs"):
        Manifest.model_validate(manifest.model_dump() | {"variants": (twice,)})


def test_only_the_graphs_of_optimum_may_have_a_second_decoder() -> None:
    manifest, _ = translation_model()
    first = manifest.variants[0]
    with_past = first.graph("decoder").model_copy(update={"role": "decoder_with_past"})
    variant = first.model_copy(update={"graphs": (*first.graphs, with_past)})
    document = manifest.model_dump() | {"variants": (variant,)}
    with pytest.raises(ValidationError, match="fp32 has graphs"):
        Manifest.model_validate(document)
    document["preprocessing"]["optimum"] = {}
    assert Manifest.model_validate(document).variants == (variant,)
    assert Manifest.model_validate(document | {"variants": (first,)}).variants == (first,)


def test_a_text_model_may_have_a_reader_and_a_head_together() -> None:
    manifest, _ = text_model()
    first = manifest.variants[0]
    more = [first.graphs[0].model_copy(update={"role": role}) for role in ("reader", "head")]

    def with_graphs(*graphs: Graph) -> Manifest:
        variant = first.model_copy(update={"graphs": graphs})
        return Manifest.model_validate(manifest.model_dump() | {"variants": (variant,)})

    assert len(with_graphs(*first.graphs, *more).variants[0].graphs) == 3
    for wrong in ([*first.graphs, more[0]], [*first.graphs, more[1]], more):
        with pytest.raises(ValidationError, match="fp32 has graphs"):
            with_graphs(*wrong)


def test_a_manifest_cannot_be_changed() -> None:
    manifest, _ = image_model()
    with pytest.raises(ValidationError, match="frozen"):
        manifest.version = 2  # type: ignore[misc]


def test_two_variants_may_share_a_graph(tmp_path: Path) -> None:
    manifest, files = translation_model()
    first = manifest.variants[0]
    int8 = first.model_copy(update={"precision": "int8"})
    both = Manifest.model_validate(manifest.model_dump() | {"variants": (first, int8)})
    assert both.artefacts().keys() == files.keys()
    assert both.variant("int8").graph("decoder") == first.graph("decoder")


def test_a_missing_variant_or_role_is_a_key_error() -> None:
    manifest, _ = image_model()
    with pytest.raises(KeyError, match="int8"):
        manifest.variant("int8")
    with pytest.raises(KeyError, match="decoder"):
        manifest.variant("fp32").graph("decoder")


def test_a_figure_is_a_number() -> None:
    with pytest.raises(ValidationError, match="finite"):
        Measurement(dataset="d", split="test", metric="loss", value=float("nan"), items=1)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": NaN}', b"\xff\xfe", "[" * 100_000])
def test_a_file_that_holds_no_manifest_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(ManifestInvalid, match=r"manifest\.json"):
        read_manifest(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match=r"manifest\.json: No such file"):
        read_manifest(tmp_path / "manifest.json")


def test_a_linked_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text(image_model()[0].model_dump_json())
    (tmp_path / "manifest.json").symlink_to("real.json")
    with pytest.raises(ManifestInvalid, match="symbolic link"):
        read_manifest(tmp_path / "manifest.json")


def test_a_manifest_of_unreasonable_size_is_not_read(tmp_path: Path) -> None:
    text = image_model()[0].model_dump_json()
    path = write(tmp_path, text + " " * (MAX_MANIFEST_BYTES - len(text)))
    read_manifest(path)
    path.write_text(text + " " * (MAX_MANIFEST_BYTES - len(text) + 1))
    with pytest.raises(ManifestInvalid, match="more than"):
        read_manifest(path)

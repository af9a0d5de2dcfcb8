"""docs/manifest.md explains each field, and its example is what a reader gets."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

import model_zoo.evidence
import model_zoo.golden
import model_zoo.manifest
import model_zoo.preprocessing
import model_zoo.self_knowledge
from model_zoo.errors import ManifestInvalid
from model_zoo.fields import Frozen
from model_zoo.manifest import parse_manifest
from model_zoo.self_knowledge import QualityFeature
from tests.model_zoo.samples import image_model

PAGE = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text(encoding="utf-8")


def fields(*modules: ModuleType) -> Iterator[tuple[str, str]]:
    for module in modules:
        for name, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, Frozen):
                yield from ((name, field) for field in found.model_fields)


def test_every_field_is_explained() -> None:
    known = {
        *fields(
            model_zoo.manifest,
            model_zoo.preprocessing,
            model_zoo.evidence,
            model_zoo.self_knowledge,
            model_zoo.golden,
        )
    }
    assert ("Manifest", "labels") in known
    assert ("GoldenRow", "logits") in known
    written = {field for _, field in known if f"`{field}`" in PAGE or f'`{field}: "' in PAGE}
    assert {(part, field) for part, field in known if field not in written} == set()


def test_the_example_message_is_the_real_one() -> None:
    manifest, _ = image_model()
    wrong = manifest.model_dump_json().replace('"sha256":"', '"sha256":"x', 1)
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(wrong.encode(), "model_zoo/cifar10-resnet/1/manifest.json")
    assert f"\n{caught.value}\n" in PAGE


def test_every_feature_of_a_quality_estimate_is_explained() -> None:
    assert {name for name in get_args(QualityFeature) if f"| `{name}`" in PAGE} | {
        name for name in get_args(QualityFeature) if f", `{name}`" in PAGE
    } == set(get_args(QualityFeature))

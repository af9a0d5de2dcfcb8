"""Optional promises about doubt and self-tests, and the golden file that they name."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from model_zoo.errors import ManifestInvalid
from model_zoo.golden import Golden, GoldenRow, parse_golden
from model_zoo.manifest import Manifest
from tests.model_zoo.samples import image_model, promise, translation_model

SELF_TEST = {"file": "golden.json", "items": 2, "tolerance": 0.1, "agreement": 1.0}
QUALITY = {"bias": 0.5, "terms": [{"feature": "log_probability", "weight": 2.0}]}
CONFIDENCE = {"max_energy": -1.5, "accepted": 0.95}


def changed(manifest: Manifest, **fields: Any) -> Manifest:
    return Manifest.model_validate({**manifest.model_dump(), **fields})


def golden(**fields: Any) -> bytes:
    rows = {"fp32": [{"logits": [1.0, 2.0]}, {"ids": [3], "score": -0.5}]}
    return json.dumps({"kind": "text", "items": ["a", "b"], "rows": rows, **fields}).encode()


def test_a_manifest_from_before_these_fields_has_none_of_them() -> None:
    manifest, _ = image_model()
    assert manifest.confidence is None
    assert manifest.quality is None
    assert manifest.variants[0].self_test is None
    written = json.loads(manifest.model_dump_json(exclude_none=True))
    assert not {"confidence", "quality"} & set(written)


def test_a_self_test_names_a_listed_file() -> None:
    manifest, _ = image_model()
    variants = [{**manifest.variants[0].model_dump(), "self_test": SELF_TEST}]
    with pytest.raises(ValidationError, match=r"golden\.json, which a self-test names"):
        changed(manifest, variants=variants)
    files = [*manifest.model_dump()["files"], promise("golden.json", b"{}").model_dump()]
    found = changed(manifest, variants=variants, files=files)
    assert found.variants[0].self_test is not None
    assert found.variants[0].self_test.tolerance == 0.1


def test_confidence_is_for_classes_and_quality_for_translations() -> None:
    image, translation = image_model()[0], translation_model()[0]
    assert changed(image, confidence=CONFIDENCE).confidence is not None
    assert changed(translation, quality=QUALITY).quality is not None
    with pytest.raises(ValidationError, match="confidence: a translation"):
        changed(translation, confidence=CONFIDENCE)
    with pytest.raises(ValidationError, match="quality: only a translation"):
        changed(image, quality=QUALITY)


def test_an_unknown_feature_of_quality_is_refused() -> None:
    terms = [{"feature": "mood", "weight": 1.0}]
    with pytest.raises(ValidationError, match="feature"):
        changed(translation_model()[0], quality={"bias": 0.0, "terms": terms})


def test_a_golden_file_comes_back_with_its_items() -> None:
    found = parse_golden(golden(), "x/golden.json")
    assert found.raw_items() == ["a", "b"]
    assert found.rows["fp32"][1] == GoldenRow(ids=(3,), score=-0.5)
    image = Golden(kind="image", items=("AAEC",), rows={})
    assert image.raw_items() == [b"\x00\x01\x02"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"items": []}, "items: "),
        ({"kind": "sound"}, "kind: "),
        ({"rows": {"int4": []}}, "rows.int4"),
        ({"rows": {"fp32": [{"logits": [1.0]}]}}, r"rows.fp32: 1 rows for 2 items"),
        ({"rows": {"fp32": [{"logits": ["1"]}, {}]}}, r"rows.fp32.0.logits.0"),
    ],
)
def test_a_wrong_golden_file_is_named_with_its_field(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ManifestInvalid, match=rf"x/golden\.json: {told}"):
        parse_golden(golden(**fields), "x/golden.json")


def test_what_is_no_json_is_no_golden_file() -> None:
    with pytest.raises(ManifestInvalid, match="x: "):
        parse_golden(b"\x80pickle", "x")

"""A variant that answers otherwise here than where it was published does not serve."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from model_zoo.errors import FileMismatch, ManifestInvalid
from model_zoo.golden import GOLDEN_FILE
from model_zoo.manifest import Manifest, Precision, Role
from service.http.inventory import describe
from service.metrics import Metrics
from service.repository.lifecycle import Lifecycle
from service.repository.live import LiveModel
from service.repository.loading import load
from service.repository.models import Models
from service.repository.options import LoadOptions
from service.runtime.errors import SelfTestFailed
from tests.model_zoo.samples import promise
from tests.repository.golden_models import publish, saturating, without_numbers, zoo
from tests.tiny_zoo import IMAGES, TEXTS, TRANSLATOR


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@contextmanager
def loaded(
    catalog: Catalog, name: str, registry: CollectorRegistry, **options: Any
) -> Iterator[LiveModel]:
    metrics = Metrics.create(registry)
    live = load(catalog.open(name), LoadOptions(workers=1, **options), metrics)
    try:
        yield live
    finally:
        live.close(timeout_s=5.0)


def told(live: LiveModel) -> dict[str, Any]:
    models = Models(Lifecycle())
    models.serve([live])
    found: dict[str, Any] = describe(live, models)["self_test"]
    return found


def gauge(registry: CollectorRegistry, name: str, variant: str) -> float | None:
    labels = {"model": name, "version": "1", "variant": variant, "provider": "cpu"}
    return registry.get_sample_value("slipway_self_test_passed", labels)


def spoiled_texts(tiny: Catalog, most: float = -5.0) -> dict[Role, bytes]:
    graph = tiny.open(TEXTS).read("model.onnx")
    return {"model": saturating(graph, most)}


def broken_texts(tiny: Catalog, how: str) -> dict[Role, bytes]:
    """Graphs that break outright, instead of answering otherwise."""
    graph = tiny.open(TEXTS).read("model.onnx")
    return {"model": without_numbers(graph) if how == "NaN" else b"no graph"}


BREAKS = [("NaN", "no numbers"), ("no graph", "cannot open the graph")]


def test_the_best_variant_that_passes_serves(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    with loaded(publish(tmp_path, tiny, TEXTS), TEXTS, registry) as live:
        assert live.variant == "int8"
        assert told(live) | {"reason": ""} == {"outcome": "passed", "reason": "", "refused": []}
        assert "100% of 3 answers the same" in told(live)["reason"]
        assert gauge(registry, TEXTS, "int8") == 1
        assert gauge(registry, TEXTS, "fp32") is None
    assert gauge(registry, TEXTS, "int8") is None


def test_int8_that_saturates_gives_way_to_fp32_and_says_why(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = publish(tmp_path, tiny, TEXTS, spoil={"int8": spoiled_texts(tiny)})
    with loaded(catalog, TEXTS, registry) as live:
        assert live.variant == "fp32"
        (refused,) = told(live)["refused"]
        assert (refused["variant"], refused["provider"]) == ("int8", "cpu")
        assert (refused["outcome"], told(live)["outcome"]) == ("failed", "passed")
        assert "largest difference" in refused["reason"]
        assert (gauge(registry, TEXTS, "int8"), gauge(registry, TEXTS, "fp32")) == (0, 1)
    assert [r.levelname for r in caplog.records if "self-test" in r.message] == ["WARNING"]


@pytest.mark.parametrize(("how", "why"), BREAKS)
def test_a_variant_that_breaks_outright_gives_way_to_the_next_and_says_why(
    tmp_path: Path,
    tiny: Catalog,
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
    how: str,
    why: str,
) -> None:
    catalog = publish(tmp_path, tiny, TEXTS, spoil={"int8": broken_texts(tiny, how)})
    with loaded(catalog, TEXTS, registry) as live:
        assert (live.variant, told(live)["outcome"]) == ("fp32", "passed")
        (refused,) = told(live)["refused"]
        assert (refused["variant"], refused["provider"]) == ("int8", "cpu")
        assert refused["outcome"] == "failed"
        assert why in refused["reason"]
        assert (gauge(registry, TEXTS, "int8"), gauge(registry, TEXTS, "fp32")) == (0, 1)
    (record,) = [record for record in caplog.records if "self-test" in record.message]
    assert record.levelname == "WARNING"
    assert why in vars(record)["reason"]


def test_a_broken_variant_without_self_test_gives_way_too(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    spoil: dict[Precision, Any] = {"int8": broken_texts(tiny, "NaN")}
    catalog = publish(tmp_path, tiny, TEXTS, spoil=spoil, tested=())
    with loaded(catalog, TEXTS, registry) as live:
        assert (live.variant, told(live)["outcome"]) == ("fp32", "none")
        assert gauge(registry, TEXTS, "int8") == 0


def test_when_every_variant_breaks_the_error_says_why_of_each(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    spoil: dict[Precision, Any] = {
        "int8": broken_texts(tiny, "NaN"),
        "fp32": broken_texts(tiny, "no graph"),
    }
    catalog = publish(tmp_path, tiny, TEXTS, spoil=spoil)
    why = r"int8 on cpu: .*no numbers.*; fp32 on cpu: .*cannot open the graph"
    with pytest.raises(SelfTestFailed, match=why), loaded(catalog, TEXTS, registry):
        raise AssertionError("served")
    assert (gauge(registry, TEXTS, "int8"), gauge(registry, TEXTS, "fp32")) == (0, 0)


@pytest.mark.parametrize(("how", "why"), BREAKS)
def test_who_is_strict_gets_no_other_variant_for_one_that_breaks_outright(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry, how: str, why: str
) -> None:
    catalog = publish(tmp_path, tiny, TEXTS, spoil={"int8": broken_texts(tiny, how)})
    with (
        pytest.raises(SelfTestFailed, match=f"int8 on cpu: [^;]*{why}[^;]*$"),
        loaded(catalog, TEXTS, registry, strict_providers=True),
    ):
        raise AssertionError("served")


def test_a_graph_changed_behind_the_manifest_gives_way_to_nothing(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    catalog = publish(tmp_path, tiny, TEXTS)
    (tmp_path / TEXTS / "1" / "model_int8.onnx").write_bytes(b"no graph")
    with pytest.raises(FileMismatch, match="model_int8"), loaded(catalog, TEXTS, registry):
        raise AssertionError("served")


def test_a_difference_within_the_tolerance_is_let_through(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    spoil = spoiled_texts(tiny, most=0.01)
    catalog = publish(tmp_path, tiny, TEXTS, spoil={"int8": spoil}, tolerance=10.0, agreement=0.0)
    with loaded(catalog, TEXTS, registry) as live:
        assert live.variant == "int8"


def test_the_same_numbers_on_average_are_not_enough_where_classes_change(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    spoil = spoiled_texts(tiny)  # every logit the same: the first class always wins
    catalog = publish(tmp_path, tiny, TEXTS, spoil={"int8": spoil}, tolerance=100.0)
    with loaded(catalog, TEXTS, registry) as live:
        assert live.variant == "fp32"
        assert "answers the same (at least 100%)" in told(live)["refused"][0]["reason"]


def test_when_no_variant_passes_the_model_does_not_serve(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    spoil = spoiled_texts(tiny)
    catalog = publish(tmp_path, tiny, TEXTS, spoil={"int8": spoil, "fp32": spoil})
    with (
        pytest.raises(SelfTestFailed, match=r"tiny-reviews/1 .* int8 on cpu: .*; fp32 on cpu: "),
        loaded(catalog, TEXTS, registry),
    ):
        raise AssertionError("served")
    assert (gauge(registry, TEXTS, "int8"), gauge(registry, TEXTS, "fp32")) == (0, 0)


def test_who_is_strict_gets_the_best_variant_or_none(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    catalog = publish(tmp_path, tiny, TEXTS, spoil={"int8": spoiled_texts(tiny)})
    with (
        pytest.raises(SelfTestFailed, match=r"int8 on cpu: [^;]*$"),
        loaded(catalog, TEXTS, registry, strict_providers=True),
    ):
        raise AssertionError("served")


def test_who_names_the_precision_gets_no_other(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    catalog = publish(tmp_path, tiny, TEXTS, spoil={"int8": spoiled_texts(tiny)})
    with (
        pytest.raises(SelfTestFailed),
        loaded(catalog, TEXTS, registry, precision="int8"),
    ):
        raise AssertionError("served")


def test_a_model_without_self_test_serves_and_says_so(
    tiny: Catalog, registry: CollectorRegistry
) -> None:
    with loaded(tiny, IMAGES, registry) as live:
        assert told(live) == {"outcome": "none", "reason": "no self-test", "refused": []}
        assert gauge(registry, IMAGES, "fp32") is None


def test_an_untested_variant_may_step_in(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    spoil: dict[Precision, Any] = {"int8": spoiled_texts(tiny)}
    catalog = publish(tmp_path, tiny, TEXTS, spoil=spoil, tested=("int8",))
    with loaded(catalog, TEXTS, registry) as live:
        assert (live.variant, told(live)["outcome"]) == ("fp32", "none")


def test_a_translator_is_tested_by_its_tokens_and_score(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    good = tmp_path / "good"
    with loaded(publish(good, tiny, TRANSLATOR), TRANSLATOR, registry) as live:
        assert (live.variant, told(live)["outcome"]) == ("int8", "passed")
    golden = json.loads((good / TRANSLATOR / "1" / GOLDEN_FILE).read_bytes())
    row = golden["rows"]["int8"][0]
    row["ids"] = [*row["ids"], 5]
    tampered = publish_with_golden(tmp_path / "bad", good, TRANSLATOR, golden)
    with loaded(tampered, TRANSLATOR, CollectorRegistry()) as live:
        assert live.variant == "fp32"
        assert "67% of 3 answers the same" in told(live)["refused"][0]["reason"]


def test_a_score_that_changed_is_noticed_though_the_tokens_are_the_same(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    good = tmp_path / "good"
    publish(good, tiny, TRANSLATOR)
    golden = json.loads((good / TRANSLATOR / "1" / GOLDEN_FILE).read_bytes())
    golden["rows"]["int8"][0]["score"] += 0.01
    tampered = publish_with_golden(tmp_path / "bad", good, TRANSLATOR, golden)
    with loaded(tampered, TRANSLATOR, registry) as live:
        assert live.variant == "fp32"
        assert "largest difference 0.01" in told(live)["refused"][0]["reason"]


def publish_with_golden(root: Path, old: Path, name: str, golden: Any) -> Catalog:
    """The published model again, its golden file replaced by an equally promised one."""
    published = Catalog(old).open(name)
    contents = {file: published.read(file) for file in published.manifest.artefacts()}
    contents[GOLDEN_FILE] = json.dumps(golden).encode()
    kept = [entry for entry in published.manifest.files if entry.file != GOLDEN_FILE]
    files = (*kept, promise(GOLDEN_FILE, contents[GOLDEN_FILE]))
    catalog = Catalog(root)
    manifest = Manifest.model_validate({**dict(published.manifest), "files": files})
    catalog.publish(manifest, contents)
    return catalog


def test_a_golden_file_changed_behind_the_manifest_is_never_read(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    catalog = publish(tmp_path, tiny, TEXTS)
    (tmp_path / TEXTS / "1" / GOLDEN_FILE).write_bytes(b"{}")
    with pytest.raises(FileMismatch, match=r"golden\.json"), loaded(catalog, TEXTS, registry):
        raise AssertionError("served")


def test_a_golden_file_that_is_none_is_named(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    publish(tmp_path / "good", tiny, TEXTS)
    catalog = publish_with_golden(tmp_path / "bad", tmp_path / "good", TEXTS, {"kind": "text"})
    with (
        pytest.raises(ManifestInvalid, match=r"golden\.json: items"),
        loaded(catalog, TEXTS, registry),
    ):
        raise AssertionError("served")


def test_golden_rows_of_another_number_of_classes_fail(
    tmp_path: Path, tiny: Catalog, registry: CollectorRegistry
) -> None:
    publish(tmp_path / "good", tiny, TEXTS)
    golden = json.loads((tmp_path / "good" / TEXTS / "1" / GOLDEN_FILE).read_bytes())
    golden["rows"]["int8"][1]["logits"] = [1.0]
    catalog = publish_with_golden(tmp_path / "bad", tmp_path / "good", TEXTS, golden)
    with loaded(catalog, TEXTS, registry) as live:
        assert live.variant == "fp32"
        assert "largest difference inf" in told(live)["refused"][0]["reason"]

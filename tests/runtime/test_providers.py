"""Which provider and which variant: every rule is a row of a table."""

from pathlib import Path

import pytest

from model_zoo.manifest import Graph, Precision, Provider, Variant
from service.runtime.errors import ProviderUnavailable, VariantUnavailable
from service.runtime.providers import Asked, choose_variant, cpu_features, parse_providers

GRAPH = Graph(role="model", file="model.onnx", bytes=1, sha256="0" * 64)


def variant(precision: Precision, *providers: Provider, needs: tuple[str, ...] = ()) -> Variant:
    return Variant(precision=precision, graphs=(GRAPH,), providers=providers, needs=needs)


VARIANTS = (
    variant("fp32", "cpu", "openvino", "cuda", "tensorrt"),
    variant("int8", "cpu", needs=("vnni",)),
    variant("fp16", "cuda", "tensorrt"),
)


@pytest.mark.parametrize(
    ("usable", "names"),
    [
        (["cpu"], ("cpu",)),
        (["cpu", "cuda"], ("cuda", "cpu")),
        (["cpu", "openvino"], ("openvino", "cpu")),
        (["cpu", "cuda", "tensorrt"], ("cuda", "cpu")),
    ],
)
def test_auto_takes_the_best_provider_that_is_usable(
    usable: list[str], names: tuple[Provider, ...]
) -> None:
    assert parse_providers("auto", usable) == Asked(names, automatic=True)


def test_a_list_keeps_its_order_and_forgets_doubles() -> None:
    asked = parse_providers(" TensorRT, cuda,cpu,cuda ", ["cpu"])
    assert asked == Asked(("tensorrt", "cuda", "cpu"), automatic=False)


def test_an_unknown_provider_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ProviderUnavailable, match=r"'gpu'.*auto, cpu, cuda"):
        parse_providers("gpu", ["cpu"])


@pytest.mark.parametrize(
    ("asked", "usable", "features", "precision", "providers"),
    [
        ("cpu", ["cpu"], [], "fp32", ("cpu",)),
        ("cpu", ["cpu"], ["vnni"], "int8", ("cpu",)),
        ("auto", ["cpu", "cuda"], ["vnni"], "fp16", ("cuda",)),
        ("tensorrt,cuda,cpu", ["cpu", "cuda", "tensorrt"], [], "fp16", ("tensorrt", "cuda")),
        ("cuda", ["cpu"], ["vnni"], "int8", ("cpu",)),
        ("openvino", ["cpu", "openvino"], ["vnni"], "fp32", ("openvino", "cpu")),
    ],
)
def test_the_variant_suits_the_first_usable_provider(
    asked: str,
    usable: list[str],
    features: list[str],
    precision: Precision,
    providers: tuple[Provider, ...],
) -> None:
    choice = choose_variant(
        VARIANTS, parse_providers(asked, usable), usable=usable, features=features
    )
    assert (choice.variant.precision, choice.providers) == (precision, providers)


def test_a_variant_that_needs_nothing_runs_on_any_cpu() -> None:
    plain = (variant("fp32", "cpu"), variant("int8", "cpu"))
    choice = choose_variant(plain, Asked(("cpu",), False), usable=["cpu"], features=[])
    assert choice.variant.precision == "int8"


def test_a_precision_asked_for_overrides_preference_and_needs() -> None:
    for precision in ("fp32", "int8"):
        choice = choose_variant(
            VARIANTS, Asked(("cpu",), False), usable=["cpu"], features=[], precision=precision
        )
        assert choice.variant.precision == precision


def test_a_precision_that_no_provider_suits_is_refused_with_what_there_is() -> None:
    with pytest.raises(VariantUnavailable, match=r"no fp16 variant for cpu.*fp32 for cpu/openvino"):
        choose_variant(
            VARIANTS, Asked(("cpu",), False), usable=["cpu"], features=[], precision="fp16"
        )


@pytest.mark.parametrize("asked", ["cuda", "cuda,cpu"])
def test_strictly_asked_a_provider_that_does_not_run_is_an_error(asked: str) -> None:
    with pytest.raises(ProviderUnavailable, match="cuda does not run here"):
        choose_variant(
            VARIANTS, parse_providers(asked, ["cpu"]), usable=["cpu"], features=[], strict=True
        )


def test_strictly_asked_a_provider_without_a_variant_is_an_error() -> None:
    only_cpu = (variant("fp32", "cpu"),)
    asked = parse_providers("cuda,cpu", ["cpu", "cuda"])
    with pytest.raises(VariantUnavailable, match="no variant for cuda"):
        choose_variant(only_cpu, asked, usable=["cpu", "cuda"], features=[], strict=True)


def test_strict_lets_auto_choose_the_cpu() -> None:
    only_cpu = (variant("fp32", "cpu"),)
    asked = parse_providers("auto", ["cpu", "cuda"])
    choice = choose_variant(only_cpu, asked, usable=["cpu", "cuda"], features=[], strict=True)
    assert choice.providers == ("cpu",)


@pytest.mark.parametrize(
    ("line", "features"),
    [
        ("flags\t\t: fpu sse2 avx2 avx_vnni", {"avx2", "vnni"}),
        ("flags : avx2 avx512f avx512_vnni amx_int8", {"avx2", "avx512", "vnni", "amx"}),
        ("Features\t: fp asimd asimddp i8mm", {"dotprod", "i8mm"}),
        ("model name : avx2", set()),
    ],
)
def test_cpu_features_are_read_in_the_words_of_needs(
    tmp_path: Path, line: str, features: set[str]
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\n{line}\n\nprocessor : 1\n{line}\n")
    assert cpu_features(cpuinfo) == features


def test_where_there_is_no_cpuinfo_no_feature_is_known(tmp_path: Path) -> None:
    assert cpu_features(tmp_path / "none") == frozenset()

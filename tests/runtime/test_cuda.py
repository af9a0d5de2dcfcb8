"""The forward checks on CUDA, where onnxruntime-gpu finds a GPU."""

import pytest

from service.runtime.session import usable_providers
from tests.runtime import forward_checks
from tests.runtime.forward_checks import CASES, open_case

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif("cuda" not in usable_providers(), reason="no GPU that ONNX Runtime can use"),
]
every_kind = pytest.mark.parametrize("kind", CASES)


@every_kind
def test_cuda_runs_the_graph_and_is_reported(kind: str) -> None:
    assert open_case(kind, "cuda").placement["CUDAExecutionProvider"] > 0


@every_kind
def test_an_item_alone_is_the_same_as_in_a_batch(kind: str) -> None:
    forward_checks.check_alone_is_in_a_batch(kind, "cuda")


@every_kind
def test_rows_are_those_of_the_cpu_provider(kind: str) -> None:
    forward_checks.check_rows_are_those_of_the_cpu(kind, "cuda")

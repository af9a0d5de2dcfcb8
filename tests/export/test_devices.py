import time
from itertools import accumulate, cycle

import pytest
import torch

from export.devices import (
    bf16_is_faster,
    device_of,
    fastest_device,
    full_precision,
    mixed_precision,
    moved,
    random_state,
    set_random_state,
)


def test_the_device_is_a_gpu_where_torch_finds_one_and_the_processor_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert fastest_device().type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert fastest_device().type == "cuda"


def test_all_tensors_of_a_batch_are_moved_whatever_it_is_made_of() -> None:
    meta = torch.device("meta")
    first, (second, rest) = moved((torch.ones(2), (torch.ones(3), "name")), meta)
    assert (first.device, second.device, rest) == (meta, meta, "name")


def test_a_network_is_where_its_weights_are() -> None:
    network = torch.nn.Linear(2, 2)
    assert device_of(network).type == "cpu"
    assert device_of(network.to("meta")).type == "meta"


def test_full_precision_holds_inside_mixed_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.devices.bf16_is_faster", lambda: True)
    cpu, matrix = torch.device("cpu"), torch.ones(4, 4)
    with mixed_precision(cpu):
        assert (matrix @ matrix).dtype == torch.bfloat16
        with full_precision(cpu):
            assert (matrix @ matrix).dtype == torch.float32


def test_slow_bf16_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.devices.bf16_is_faster", lambda: False)
    matrix = torch.ones(4, 4)
    with mixed_precision(torch.device("cpu")):
        assert (matrix @ matrix).dtype == torch.float32


@pytest.mark.parametrize("slow", range(4))
def test_one_slow_product_does_not_decide_the_precision(
    slow: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bf16, timed first, takes 1 s and fp32 2 s, but for one of the first products of each."""
    took_s = [[1.0] * 10, [2.0] * 10]
    took_s[0][slow] = took_s[1][slow] = 50.0
    ticks = cycle(accumulate(t for product_s in took_s for s in product_s for t in (0.0, s)))
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    bf16_is_faster.cache_clear()
    try:
        assert bf16_is_faster()
    finally:
        bf16_is_faster.cache_clear()


def test_chance_goes_on_where_it_was() -> None:
    state = random_state()
    first = torch.rand(3)
    set_random_state(state)
    assert torch.equal(torch.rand(3), first)

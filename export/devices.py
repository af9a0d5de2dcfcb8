"""Where a network learns, and in what precision: a GPU where there is one, else the processor."""

import time
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn


def fastest_device() -> torch.device:
    """The first NVIDIA GPU where torch finds one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(network: nn.Module) -> torch.device:
    """Where the network's weights lie; the CPU for one without weights."""
    return next(network.parameters(), torch.empty(0)).device


def moved(batch: Any, device: torch.device) -> Any:
    """The same tensors on that device, in the same tuples; anything else is handed through."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple):
        return tuple(moved(part, device) for part in batch)
    return batch


def mixed_precision(device: torch.device) -> Any:
    """bf16 autocast where the device is faster with it, plain fp32 elsewhere."""
    dtype = product_dtype(device)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def full_precision(device: torch.device) -> Any:
    """No autocast, whatever is going on around."""
    return torch.autocast(device.type, enabled=False)


def product_dtype(device: torch.device) -> torch.dtype:
    """What products that need few digits are fastest in there: bf16 or fp32."""
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else bf16_is_faster()
    return torch.bfloat16 if fast else torch.float32


@cache
def bf16_is_faster() -> bool:
    """Timed once a process: emulated bf16 is hundreds of times slower, AMX seven times faster.

    The best of several times: a run that changes its mind on a busy machine cannot be repeated.
    """
    return _product_seconds(torch.bfloat16) < 0.7 * _product_seconds(torch.float32)


def _product_seconds(dtype: torch.dtype) -> float:
    left, right = (torch.randn(256, 256).to(dtype) for _ in range(2))
    left @ right  # the first product compiles its kernel
    took_s = []
    for _ in range(10):
        started = time.perf_counter()
        left @ right
        took_s.append(time.perf_counter() - started)
    return min(took_s)


def random_state() -> dict[str, Any]:
    """All that chance depends on, for a checkpoint."""
    on_gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": on_gpu}


def set_random_state(state: dict[str, Any]) -> None:
    """Go on with the chances of `random_state`; a machine without a GPU leaves out its part."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

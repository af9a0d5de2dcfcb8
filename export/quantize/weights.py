"""Weights to int8, a scale for each output channel.

Processors without VNNI add pairs of 8-bit products in 16 bits, which saturate at full range.
With weights of at most 63 the sum of two products, 2 * 255 * 63, always fits: answers are then
the same on every x86 processor, for one bit of precision.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST = 63


@dataclass(frozen=True)
class Int8Weights:
    """values int8 of the weights' shape; scales float32, broadcastable to it."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]


def to_int8(weights: NDArray[np.float32], axis: int, largest: int = LARGEST) -> Int8Weights:
    """Symmetric quantization with one scale for each index along `axis`."""
    others = tuple(i for i in range(weights.ndim) if i != axis % weights.ndim)
    peak = np.abs(weights).max(axis=others, keepdims=True)
    scales = (np.maximum(peak, 1e-8) / largest).astype(np.float32)
    values = np.clip(np.round(weights / scales), -largest, largest).astype(np.int8)
    return Int8Weights(values, scales)

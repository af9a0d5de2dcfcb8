"""Numbers in memory that the supervisor and all workers see; 0 at first."""

import mmap
import os
from array import array
from pathlib import Path


def shared_integers(path: Path, count: int) -> "memoryview[int]":
    """So many whole numbers for all who open the same path."""
    return _mapped(path, count * array("i").itemsize).cast("i")


def shared_floats(path: Path, count: int) -> "memoryview[float]":
    """So many floats, of 64 bits, for all who open the same path."""
    return _mapped(path, count * array("d").itemsize).cast("d")


def _mapped(path: Path, size: int) -> "memoryview[int]":
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(opened, size)
        return memoryview(mmap.mmap(opened, size))
    finally:
        os.close(opened)

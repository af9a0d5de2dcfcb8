"""Opens the pickles that CIFAR-10 ships, and no other object: a pickle can run any code.

Only numpy arrays, and the containers, numbers and strings that need no import, can be built.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from export.datasets.errors import DatasetUnreadable

# The array builder moved between numpy versions; we take it from a pickle that numpy wrote itself.
_rebuild_array: Callable[..., np.ndarray] = np.empty(0).__reduce__()[0]  # type: ignore[assignment]


def _encode(text: str, codec: str) -> bytes:
    """Python 3 writes bytes into old pickle protocols as a call of this name."""
    if codec != "latin1":
        raise pickle.UnpicklingError(f"bytes in the unexpected encoding {codec!r}")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _rebuild_array,
    ("numpy._core.multiarray", "_reconstruct"): _rebuild_array,
    ("_codecs", "encode"): _encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed here") from None


def read_arrays(path: Path) -> object:
    """The content of a pickle of arrays, lists and dictionaries; raises DatasetUnreadable."""
    try:
        return _ArrayUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except Exception as error:  # a broken pickle can raise nearly anything
        raise DatasetUnreadable(f"{path} is not a pickle of arrays: {error}") from error

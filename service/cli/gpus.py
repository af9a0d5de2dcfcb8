"""Which GPUs there are for ONNX Runtime, found without loading it: that is for the processes that
serve."""

import os
import re
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PACKAGE = "onnxruntime-gpu"
CHOSEN = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")
ON_GPU = {"auto", "cuda", "tensorrt"}


def usable_gpus(
    providers: Collection[str],
    environ: Mapping[str, str] | None = None,
    devices: Path = DEVICES,
    package: str = PACKAGE,
) -> list[str]:
    """The names, as CUDA_VISIBLE_DEVICES has them, of the GPUs that `providers` may use; none where
    ONNX Runtime is not the one for GPUs."""
    if not ON_GPU & set(providers) or not _is_installed(package):
        return []
    chosen = (os.environ if environ is None else environ).get(CHOSEN)
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    numbers = (re.fullmatch(r"nvidia(\d+)", path.name) for path in devices.glob("nvidia*"))
    return [str(number) for number in sorted(int(found[1]) for found in numbers if found)]


def use_gpu(names: list[str], worker: int) -> None:
    """Give this process, the worker of this number, one of several GPUs for itself."""
    if len(names) > 1:
        os.environ[CHOSEN] = names[worker % len(names)]


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True

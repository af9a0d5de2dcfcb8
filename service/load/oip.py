"""What a server of the Open Inference Protocol is asked: tensors by its own model metadata."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from service.load.errors import LoadError
from service.load.target import Target

PAYLOADS = 16
# Values that every model of ids has in its vocabulary; a mask of them is all ones and more.
LARGEST_INTEGER = 1
FLOATS = ("FP16", "FP32", "FP64", "BF16")
TEXT = "A film to remember."


def oip_requests(
    target: Target,
    model: str,
    *,
    version: str = "",
    shapes: Mapping[str, Sequence[int]] | None = None,
    count: int = PAYLOADS,
    seed: int = 0,
) -> list[bytes]:
    """Requests of random tensors for `POST /v2/models/MODEL/infer`.

    A dimension that the metadata leave open is 1 unless `shapes` says otherwise by input name.
    """
    path = f"/v2/models/{quote(model)}" + (f"/versions/{quote(version)}" if version else "")
    inputs = read_inputs(target.get_json(path), path)
    unknown = set(shapes or ()) - {one["name"] for one in inputs}
    if unknown:
        names = ", ".join(one["name"] for one in inputs)
        raise LoadError(f"--shape: {model} has no input {sorted(unknown)[0]!r}; it has {names}")
    draw = random.Random(seed)
    bodies = [[_tensor(one, shapes or {}, draw) for one in inputs] for _ in range(count)]
    return [
        target.post(f"{path}/infer", json.dumps({"inputs": body}).encode(), "application/json")
        for body in bodies
    ]


def read_inputs(metadata: Any, path: str) -> list[dict[str, Any]]:
    """The inputs that the metadata name; LoadError if these are no metadata."""
    inputs = metadata.get("inputs") if isinstance(metadata, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise LoadError(f"{path} describes no inputs; is this an Open Inference Protocol server?")
    for one in inputs:
        if not (isinstance(one, dict) and {"name", "datatype", "shape"} <= set(one)):
            raise LoadError(f"{path}: an input lacks name, datatype or shape: {one}")
    return inputs


def _tensor(
    described: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], draw: random.Random
) -> dict[str, Any]:
    name, kind = described["name"], described["datatype"]
    shape = list(shapes.get(name, [max(1, int(size)) for size in described["shape"]]))
    values = [_value(kind, draw) for _ in range(math.prod(shape))]
    return {"name": name, "datatype": kind, "shape": shape, "data": values}


def _value(kind: str, draw: random.Random) -> Any:
    if kind in FLOATS:
        return round(draw.uniform(-1, 1), 4)
    if kind == "BOOL":
        return True
    return TEXT if kind == "BYTES" else LARGEST_INTEGER

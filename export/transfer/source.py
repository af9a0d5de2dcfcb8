"""Opens what `--from` names: a published model, or a checkpoint of an earlier training.

A published model needs no torch file: its fp32 graph holds every weight under the name that the
converter gave it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer
from torch import Tensor

from export.transfer.errors import TransferError
from model_zoo.catalog import DEFAULT_ROOT, Catalog, PublishedModel
from model_zoo.errors import ModelNotFound
from model_zoo.manifest import Manifest, Task

CHECKPOINT_SUFFIXES = (".pt", ".pth")
TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Published:
    """Constants of the fp32 graphs, as `constants_of` tells them, the manifest, and the tokenizer
    where it has one."""

    title: str
    constants: Mapping[str, Tensor]
    manifest: Manifest
    tokenizer: str | None


@dataclass(frozen=True)
class Checkpoint:
    """A network's own weights by name, and the vocabulary that lies beside them, if any."""

    title: str
    weights: Mapping[str, Tensor]
    tokenizer: str | None


Source = Published | Checkpoint


def open_source(start: str | None, task: Task, models: Path) -> Source | None:
    """What `start` names: NAME or NAME/VERSION in `models` or among Slipway's own, or a .pt file.

    None for None. Raises TransferError or ModelZooError.
    """
    if start is None:
        return None
    if start.endswith(CHECKPOINT_SUFFIXES):
        return _open_checkpoint(Path(start))
    published = _find(start, models)
    manifest = published.manifest
    if manifest.task != task:
        raise TransferError(f"{start} is a model for {manifest.task}, and this is {task}")
    constants: dict[str, Tensor] = {}
    for graph in manifest.variant("fp32").graphs:
        constants |= constants_of(onnx.load_from_string(published.read(graph.file)))
    spec = manifest.preprocessing
    tokenizer = None if spec.kind == "image" else published.read(spec.tokenizer).decode()
    return Published(start, constants, manifest, tokenizer)


def constants_of(model: onnx.ModelProto) -> dict[str, Tensor]:
    """The graph's constants by name; beside the weight of a convolution, its `pads`."""
    constants = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in model.graph.initializer
    }
    for node in model.graph.node:
        for attribute in node.attribute:
            if (node.op_type, attribute.name) == ("Conv", "pads"):
                name = node.input[1].removesuffix("weight")
                constants[f"{name}pads"] = torch.tensor(list(attribute.ints))
    return constants


def title_of(start: str) -> str:
    """What `open_source` calls it: a checkpoint's place is nobody's business."""
    return Path(start).name if start.endswith(CHECKPOINT_SUFFIXES) else start


def open_vocabulary(source: Source) -> Tokenizer:
    """The tokenizer that the source's embedding belongs to; TransferError where it is missing."""
    if source.tokenizer is None:
        raise TransferError(f"{source.title} needs its {TOKENIZER_FILE} beside it")
    return Tokenizer.from_str(source.tokenizer)


def require(source: Published, *names: str) -> list[Tensor]:
    """These constants; TransferError where the graph has none of that name."""
    missing = [name for name in names if name not in source.constants]
    if missing:
        raise TransferError(
            f"{source.title} was not made by these recipes: its graph lacks {', '.join(missing)}"
        )
    return [source.constants[name] for name in names]


def _find(start: str, models: Path) -> PublishedModel:
    name, _, version = start.partition("/")
    if version and not version.isdigit():
        raise TransferError(f"{start} is neither a file ending in .pt nor NAME or NAME/VERSION")
    number = int(version) if version else None
    try:
        return Catalog(models).open(name, number)
    except ModelNotFound:
        if models == DEFAULT_ROOT:
            raise
        return Catalog().open(name, number)


def _open_checkpoint(path: Path) -> Checkpoint:
    """Weights alone are read: a checkpoint that wants to run code is refused."""
    if not path.is_file():
        raise TransferError(f"there is no checkpoint {path}")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a broken or hostile file can raise nearly anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "it is cut short"
        raise TransferError(f"{path} is not a checkpoint of plain weights: {reason}") from error
    if isinstance(content, dict):
        # a training's own checkpoint holds the best weights beside the last ones
        content = content.get("best") or content.get("average") or content
    if not isinstance(content, dict) or not content or not _are_tensors(content):
        raise TransferError(f"{path} holds no weights by name")
    vocabulary = path.parent / TOKENIZER_FILE
    text = vocabulary.read_text() if vocabulary.is_file() else None
    return Checkpoint(title_of(str(path)), content, text)


def _are_tensors(content: Mapping[object, object]) -> bool:
    return all(isinstance(value, Tensor) for value in content.values())

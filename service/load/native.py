"""What the native API is asked: payloads by rule, or the user's own files."""

import json
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar, get_args
from urllib.parse import quote

from service.load.errors import LoadError
from service.load.pictures import small_jpegs
from service.load.target import Target
from service.load.words import captions, feelings

NativeTask = Literal["classify", "sentiment", "translate"]
TASKS: tuple[NativeTask, ...] = get_args(NativeTask)
# More than any queue holds: a server that runs equal items once gains nothing from the rule.
PAYLOADS = 1024
JSON = "application/json"

Item = TypeVar("Item")


def native_requests(
    target: Target,
    task: NativeTask,
    *,
    model: str = "",
    data: Sequence[Path] = (),
    count: int = PAYLOADS,
    seed: int = 0,
) -> list[bytes]:
    """Different requests to send in turn; by rule unless `data` names files or folders of them.

    A file for `classify` is an image; for the others it is text with an item in every line.
    """
    path = f"/v1/{task}" + (f"?model={quote(model)}" if model else "")
    if task == "classify":
        images = (
            _image_files(data)
            if data
            else [(one, "image/jpeg") for one in small_jpegs(count, seed)]
        )
        return [target.post(path, body, kind) for body, kind in images]
    by_rule = feelings if task == "sentiment" else captions
    texts = _lines(data) if data else by_rule(count, seed)
    return [target.post(path, json.dumps({"text": text}).encode(), JSON) for text in texts]


def _image_files(given: Sequence[Path]) -> list[tuple[bytes, str]]:
    found = []
    for path in _files(given):
        kind = mimetypes.guess_type(path.name)[0] or ""
        if kind.startswith("image/"):
            found.append((path.read_bytes(), kind))
    return _some(found, given, "images")


def _lines(given: Sequence[Path]) -> list[str]:
    try:
        texts = [line for path in _files(given) for line in path.read_text("utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise LoadError(f"--data: the texts are not UTF-8: {error}") from error
    return _some([text for text in texts if text.strip()], given, "texts, one a line")


def _files(given: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += sorted(inner for inner in path.rglob("*") if inner.is_file())
        elif path.is_file():
            found.append(path)
        else:
            raise LoadError(f"{path}: there is no such file or folder")
    return found


def _some(found: list[Item], given: Sequence[Path], what: str) -> list[Item]:
    if not found:
        raise LoadError(f"{', '.join(map(str, given))}: no {what} in there")
    return found

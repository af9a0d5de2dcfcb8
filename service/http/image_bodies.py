"""The three ways to send images: a raw body, a multipart form, base64 in JSON."""

import asyncio
import binascii
from base64 import b64decode
from dataclasses import dataclass
from functools import lru_cache

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.errors import InvalidInput, UnsupportedMedia
from service.http.exchange import Exchange
from service.http.schemas import (
    ON_LOOP_BYTES,
    ClassifyCall,
    ClassifyOptions,
    parse_fields,
    parse_json,
)

MAX_FIELDS = 8  # of a form, besides its files
DEFAULTS = ClassifyOptions()
BRACE = ord("{")  # how JSON begins, and no image
# curl --data-binary without a Content-Type header says urlencoded, whatever the file is.
RAW = ("application/octet-stream", "application/x-www-form-urlencoded", "")


@dataclass(frozen=True, slots=True)
class ImageCall:
    """Encoded images, and what is asked about them."""

    images: list[bytes]
    options: ClassifyOptions


async def read_images(exchange: Exchange, max_images: int) -> ImageCall:
    """The images of this request; raises InvalidInput or UnsupportedMedia."""
    kind = _kind_of(exchange.headers.get(b"content-type", b""))
    if kind.startswith("image/") or kind in RAW:
        return await _raw(exchange, kind)
    if kind == "application/json":
        return await _from_json(exchange)
    if kind == "multipart/form-data":
        return await _from_form(exchange, max_images)
    raise UnsupportedMedia(
        "Send the image itself with Content-Type: image/jpeg (or png, webp, ...), a multipart "
        'form with `file` parts, or JSON {"images": ["<base64>", ...]}.'
    )


@lru_cache(maxsize=64)
def _kind_of(content_type: bytes) -> str:
    return content_type.decode("latin-1").partition(";")[0].strip().lower()


async def _raw(exchange: Exchange, kind: str) -> ImageCall:
    query = exchange.query()
    options = parse_fields(ClassifyOptions, query) if query else DEFAULTS
    body = await exchange.body()
    if not body:
        raise InvalidInput("The body is empty; send the bytes of an image.")
    if body[0] == BRACE and kind in RAW:
        raise UnsupportedMedia("Send JSON with Content-Type: application/json.")
    return ImageCall([body], options)


async def _from_json(exchange: Exchange) -> ImageCall:
    body = await exchange.body()
    query = exchange.query()
    if len(body) <= ON_LOOP_BYTES:
        return _parse_json(body, query)
    return await asyncio.to_thread(_parse_json, body, query)


def _parse_json(body: bytes, query: dict[str, str]) -> ImageCall:
    call = parse_json(ClassifyCall, body)
    images = [_decode_base64(text, index) for index, text in enumerate(call.images)]
    said = call.model_dump(exclude={"images"}, exclude_unset=True, mode="json")
    return ImageCall(images, parse_fields(ClassifyOptions, query | _as_strings(said)))


def _decode_base64(text: str, index: int) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        image = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"images.{index}: not base64; encode the bytes of the file.") from None
    if not image:
        raise InvalidInput(f"images.{index}: empty; send the bytes of an image.")
    return image


class _MemoryParser(MultiPartParser):
    """Keeps parts in memory: the body limit bounds them, and a disk is not always there."""

    spool_max_size = 1 << 30


async def _from_form(exchange: Exchange, max_images: int) -> ImageCall:
    headers = Headers(raw=list(exchange.fields))
    parser = _MemoryParser(headers, exchange.chunks(), max_files=max_images, max_fields=MAX_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidInput(f"The multipart form cannot be read: {error.message}") from None
    try:
        return await _read_form(form, exchange.query())
    finally:
        await form.close()


async def _read_form(form: FormData, fields: dict[str, str]) -> ImageCall:
    images: list[bytes] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            images.append(await _read_part(name, value, len(images)))
        else:
            fields[name] = value
    if not images:
        raise InvalidInput("The form has no file; send each image as a part named `file`.")
    return ImageCall(images, parse_fields(ClassifyOptions, fields))


async def _read_part(name: str, part: UploadFile, index: int) -> bytes:
    if name not in ("file", "files", "file[]"):
        raise InvalidInput(f"The form has a file named `{name[:40]}`; name each one `file`.")
    image = await part.read()
    if not image:
        raise InvalidInput(f"File {index} of the form is empty; send the bytes of an image.")
    return image


def _as_strings(fields: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items() if value is not None}

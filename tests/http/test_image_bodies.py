"""The three ways to send images."""

from base64 import b64encode

import orjson
import pytest

from service.errors import InvalidInput, UnsupportedMedia
from service.http.asgi import AsgiExchange
from service.http.image_bodies import ImageCall, read_images
from service.http.limits import Limits
from tests.http.asgi import Conversation

pytestmark = pytest.mark.anyio

FORM = "multipart/form-data; boundary=XX"


async def read(content_type: str, body: bytes, query: bytes = b"") -> ImageCall:
    headers = [(b"transfer-encoding", b"chunked"), (b"content-type", content_type.encode())]
    talk = Conversation(query=query, headers=headers).body(body)
    limits = Limits(body_bytes=8 << 20)
    return await read_images(AsgiExchange(talk.scope(), talk.receive, talk.send, limits), 64)


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    attributes = f'name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
    head = f"--XX\r\nContent-Disposition: form-data; {attributes}\r\n\r\n"
    return head.encode() + value + b"\r\n"


@pytest.mark.parametrize(
    "content_type",
    ["image/jpeg", "IMAGE/PNG", "image/webp; q=1", "application/octet-stream", ""],
)
async def test_a_raw_body_is_one_image(content_type: str) -> None:
    call = await read(content_type, b"pixels")
    assert call.images == [b"pixels"]
    assert call.options.top_k == 5


@pytest.mark.parametrize(
    "content_type", ["", "application/x-www-form-urlencoded", "application/octet-stream"]
)
async def test_json_that_is_not_called_so_is_told_what_to_call_it(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia, match=r"Content-Type: application/json\."):
        await read(content_type, b'{"images": ["aGk="]}')
    assert (await read("image/png", b"{")).images == [b"{"]  # what it is instead, its reader says


async def test_the_query_sets_options() -> None:
    call = await read("image/png", b"pixels", b"top_k=2&model=mine&version=3")
    assert (call.options.top_k, call.options.model, call.options.version) == (2, "mine", 3)


async def test_a_form_holds_images_in_order_and_options() -> None:
    body = part("file", b"one", "1.png") + part("top_k", b"3") + part("file", b"two", "2.png")
    call = await read(FORM, body + b"--XX--\r\n")
    assert call.images == [b"one", b"two"]
    assert call.options.top_k == 3


async def test_a_large_part_is_kept_in_memory() -> None:
    image = bytes(range(256)) * 8192
    call = await read(FORM, part("file", image, "big.bmp") + b"--XX--\r\n")
    assert call.images == [image]


async def test_json_holds_images_in_base64() -> None:
    images = [b64encode(b"one").decode(), "data:image/png;base64," + b64encode(b"two").decode()]
    call = await read("application/json", orjson.dumps({"images": images, "top_k": 1}))
    assert call.images == [b"one", b"two"]
    assert call.options.top_k == 1


async def test_a_large_json_is_read_too() -> None:
    image = bytes(200_000)
    call = await read("application/json", orjson.dumps({"images": [b64encode(image).decode()]}))
    assert call.images == [image]


async def test_the_body_wins_over_the_query() -> None:
    body = orjson.dumps({"images": [b64encode(b"one").decode()], "top_k": 1})
    call = await read("application/json", body, b"top_k=2&version=7")
    assert (call.options.top_k, call.options.version) == (1, 7)


@pytest.mark.parametrize(
    ("content_type", "body", "says"),
    [
        ("image/png", b"", "empty"),
        ("application/json", b'{"images": ["not base64!"]}', "images.0: not base64"),
        ("application/json", b'{"images": [""]}', "images.0: empty"),
        ("application/json", b'{"image": "aGk="}', "image"),
        (FORM, b"--XX--\r\n", "no file"),
        (FORM, part("picture", b"one", "1.png") + b"--XX--\r\n", "picture"),
        (FORM, part("file", b"", "1.png") + b"--XX--\r\n", "empty"),
        (FORM, part("top_k", b"3") + b"--XX--\r\n", "no file"),
        (FORM, part("file", b"1", "1.png") * 65 + b"--XX--\r\n", "Too many files"),
        (FORM, b"nonsense", "cannot be read"),
        ("multipart/form-data", b"nonsense", "boundary"),
    ],
)
async def test_what_cannot_be_read_says_so(content_type: str, body: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        await read(content_type, body)


@pytest.mark.parametrize("content_type", ["text/plain", "video/mp4", "application/pdf"])
async def test_another_kind_is_told_what_would_do(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia, match="multipart"):
        await read(content_type, b"x")

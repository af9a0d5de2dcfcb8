"""How much of a request is read, and for how long, before it is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import chain
from typing import Protocol

from service.errors import PayloadTooLarge, UnsupportedMedia
from service.http.errors import Refusal


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one request; bytes and seconds."""

    body_bytes: int = 1 << 20
    body_bytes_of: Mapping[str, int] = field(default_factory=dict)
    body_s: float = 30.0
    header_bytes: int = 16 << 10
    header_count: int = 100
    header_s: float = 10.0
    url_bytes: int = 2 << 10

    def body_limit(self, path: str) -> int:
        """The most bytes that a body for this path may have."""
        return self.body_bytes_of.get(path, self.body_bytes)


class Head(Protocol):
    """What comes before the body; `headers` are the `fields` by name."""

    @property
    def path(self) -> str: ...
    @property
    def raw_path(self) -> bytes: ...
    @property
    def query_string(self) -> bytes: ...
    @property
    def fields(self) -> Sequence[tuple[bytes, bytes]]: ...
    @property
    def headers(self) -> Mapping[bytes, bytes]: ...


def check_head(head: Head, limits: Limits) -> None:
    """Refuse what the head alone tells to refuse, before a byte of the body is read."""
    if len(head.fields) > limits.header_count:
        raise Refusal(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"At most {limits.header_count} header fields are read, not {len(head.fields)}.",
        )
    if sum(map(len, chain.from_iterable(head.fields))) > limits.header_bytes:
        raise Refusal(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"The header fields may have {limits.header_bytes} bytes together; send fewer.",
        )
    if len(head.raw_path) + len(head.query_string) > limits.url_bytes:
        raise Refusal(
            HTTPStatus.REQUEST_URI_TOO_LONG,
            f"A URL may have {limits.url_bytes} bytes; send long values in the body.",
        )
    encoding = head.headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() != b"identity":
        raise UnsupportedMedia(
            "Compressed bodies are not read; send the body as it is, without Content-Encoding."
        )
    declared = head.headers.get(b"content-length")
    if declared is not None and int(declared) > limits.body_limit(head.path):
        raise too_large(limits.body_limit(head.path))


def too_slow(seconds: float) -> Refusal:
    """The error for a body that did not arrive within so many seconds."""
    return Refusal(
        HTTPStatus.REQUEST_TIMEOUT, f"The body did not arrive within {seconds:g} s; send it again."
    )


def too_large(limit: int) -> PayloadTooLarge:
    """The error for a body of more than `limit` bytes."""
    return PayloadTooLarge(
        f"A body for this path may have {limit} bytes; send less, or in several requests."
    )

"""What an error becomes on the wire: the one table from errors to status and outcome.

Every error leaves as `application/problem+json` (RFC 9457) with `type`, `title`, `status`,
`detail` and `request_id`. Nothing but this module knows which error has which status.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from math import ceil
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from service.errors import (
    Cancelled,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    ServiceError,
    UnknownModel,
    UnsupportedMedia,
)
from service.metrics import Outcome

PROBLEM_JSON = b"application/problem+json"
CLIENT_LEFT = 499  # for logs only: the client that left reads no status
NOT_READY_RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table: how this error looks to the client and to the metrics."""

    status: int
    slug: str
    title: str
    outcome: Outcome


TABLE: dict[type[ServiceError], Kind] = {
    InvalidInput: Kind(422, "invalid-input", "The input cannot be understood", "client_error"),
    UnsupportedMedia: Kind(415, "unsupported-media", "This kind is not read here", "client_error"),
    PayloadTooLarge: Kind(413, "payload-too-large", "The input is too large", "client_error"),
    UnknownModel: Kind(404, "unknown-model", "No such model is live", "client_error"),
    Overloaded: Kind(429, "overloaded", "Too many requests are waiting", "shed"),
    DeadlineExceeded: Kind(504, "deadline-exceeded", "No answer within the deadline", "expired"),
    NotReady: Kind(503, "not-ready", "The service is not ready", "not_ready"),
    Cancelled: Kind(CLIENT_LEFT, "cancelled", "The client left", "cancelled"),
    InferenceFailed: Kind(500, "inference-failed", "The model failed", "failed"),
}
INTERNAL = Kind(500, "internal-error", "Something broke in the service", "failed")
INTERNAL_DETAIL = (
    "The service made a mistake and has logged it; quote the request id when you report it."
)


class Refusal(Exception):
    """A matter of HTTP alone (a slow upload, a huge header), refused before any item exists."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Problem:
    """An error ready for the wire."""

    status: int
    outcome: Outcome
    type: str
    title: str
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @cached_property
    def lines(self) -> bytes:
        """The header fields of its answer, each with its line end."""
        fields = ((b"content-type", PROBLEM_JSON), *self.headers)
        return b"".join(b"%b: %b\r\n" % field for field in fields)

    @property
    def is_our_mistake(self) -> bool:
        """Whether the error was not foreseen, and so belongs into the log."""
        return self.title == INTERNAL.title

    def body(self, request_id: bytes) -> bytes:
        """The problem as RFC 9457 JSON; the id has nothing that JSON would write another way."""
        return self.body_form % request_id

    @cached_property
    def body_form(self) -> bytes:
        """The same for `%` with the id."""
        told = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": "",
        }
        before_id = orjson.dumps(told).removesuffix(b'"}')
        return before_id.replace(b"%", b"%%") + b'%b"}'


def problem_of(error: BaseException) -> Problem:
    """What the client is told about this error; an unexpected one tells nothing of itself."""
    if isinstance(error, ServiceError):
        return _service_problem(error)
    if isinstance(error, Refusal):
        return _http_problem(error.status, error.detail)
    if isinstance(error, RequestValidationError):
        return _problem(TABLE[InvalidInput], explain(error.errors()))
    if isinstance(error, HTTPException):
        headers = tuple((k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items())
        return _http_problem(error.status_code, _detail_of(error), headers)
    return _problem(INTERNAL, INTERNAL_DETAIL)


def explain(findings: Sequence[Any]) -> str:
    """Up to three of pydantic's findings, in one line."""
    return "; ".join(f"{_place(found['loc'])}: {found['msg']}" for found in findings[:3])


def _place(steps: Sequence[int | str]) -> str:
    return ".".join(str(step) for step in steps if step not in ("one", "many")) or "body"


def _service_problem(error: ServiceError) -> Problem:
    kind = TABLE.get(type(error)) or next(TABLE[c] for c in type(error).__mro__ if c in TABLE)
    return _problem(kind, error.detail, _retry_after(error))


def _problem(kind: Kind, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Problem:
    return Problem(
        status=kind.status,
        outcome=kind.outcome,
        type=f"urn:slipway:problem:{kind.slug}",
        title=kind.title,
        detail=detail,
        headers=headers,
    )


def _http_problem(
    status: int, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Problem:
    return Problem(
        status=status,
        outcome="client_error" if status < 500 else "failed",
        type="about:blank",
        title=HTTPStatus(status).phrase,
        detail=detail,
        headers=headers,
    )


def _detail_of(error: HTTPException) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return "There is nothing at this path; /docs lists what there is."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        return f"This path answers {allowed}; /docs shows how."
    return error.detail


def _retry_after(error: ServiceError) -> tuple[tuple[bytes, bytes], ...]:
    """Whole seconds, as the header has no finer unit; never 0, which would invite a storm."""
    if isinstance(error, Overloaded):
        return ((b"retry-after", b"%d" % max(1, ceil(error.retry_after_s))),)
    if isinstance(error, NotReady):
        return ((b"retry-after", b"%d" % ceil(NOT_READY_RETRY_S)),)
    return ()

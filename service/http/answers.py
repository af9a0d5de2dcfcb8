"""Answers as bytes on a connection: whole ones in one write, others piece by piece."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from service.http.errors import Problem
from service.http.exchange import OWN_ID_BYTES

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD = b"%b%b%bcontent-length: %d\r\nx-request-id: %b\r\nx-content-type-options: nosniff\r\n%b\r\n"
STREAM_HEAD = b"%b%b%bx-request-id: %b\r\nx-content-type-options: nosniff\r\n%b\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CLOSE = b"connection: close\r\n"


def problem_form(problem: Problem, always: bytes, *, keep_alive: bool) -> bytes:
    """The whole answer that tells this problem, for `%` with more lines for its head, and twice the
    request's id, which is one of our own. `always` are the fields of every answer.
    """
    length = len(problem.body(bytes(OWN_ID_BYTES)))
    fixed = STATUS_LINE[problem.status], always, problem.lines
    status, always, lines = (piece.replace(b"%", b"%%") for piece in fixed)
    end = b"" if keep_alive else CLOSE
    return HEAD % (status, always, lines + b"%b", length, b"%b", end) + problem.body_form


class Signature(Protocol):
    """What every answer tells about its request."""

    @property
    def status(self) -> int: ...
    @property
    def request_id(self) -> bytes: ...
    @property
    def keep_alive(self) -> bool: ...


class StandingHeaders:
    """The header fields of every answer, as bytes: those of `state`, which uvicorn renews once a
    second. The connections of a server share them."""

    def __init__(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._lines = b""

    def lines(self, state: ServerState) -> bytes:
        """The fields as they are now; made again only when they are another list."""
        fields = state.default_headers
        if fields is not self._fields:
            self._fields = fields
            self._lines = b"".join(b"%b: %b\r\n" % field for field in fields)
        return self._lines


class AnswerWriter:
    """Writes to one connection; `done` is called after each answer.

    `lines` are the header fields of an answer, each with its line end.
    """

    __slots__ = ("_done", "_flow", "_framed", "_standing", "_state", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        flow: FlowControl,
        standing: StandingHeaders,
        state: ServerState,
        done: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._flow = flow
        self._standing = standing
        self._state = state
        self._done = done
        self._framed = False

    @property
    def is_full(self) -> bool:
        """Whether the client has not read yet what it was sent."""
        return self._flow.write_paused

    def ask_for_body(self) -> None:
        """Tell a client that waits for leave to go on."""
        self._write(CONTINUE)

    def whole(self, by: Signature, lines: bytes, body: bytes) -> None:
        """Send a whole answer."""
        end = b"" if by.keep_alive else CLOSE
        status, always = STATUS_LINE[by.status], self._standing.lines(self._state)
        head = HEAD % (status, always, lines, len(body), by.request_id, end)
        self._write(head + body)
        self._end(by.keep_alive)

    def begin(self, by: Signature, lines: bytes) -> None:
        """Send the head of an answer that comes piece by piece."""
        self._framed = by.keep_alive  # what is not framed ends with the connection
        end = CHUNKED if self._framed else CLOSE
        status, always = STATUS_LINE[by.status], self._standing.lines(self._state)
        self._write(STREAM_HEAD % (status, always, lines, by.request_id, end))

    def piece(self, piece: bytes) -> None:
        """Send a piece of it."""
        self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._framed else piece)

    def end(self, by: Signature) -> None:
        """The pieces are complete."""
        if self._framed:
            self._write(b"0\r\n\r\n")
        self._end(by.keep_alive)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _end(self, keep_alive: bool) -> None:
        if not keep_alive:
            self._transport.close()
        self._done()

"""Uvicorn's HTTP protocol as far as it reads: with bounds on what a head and a body take on the
wire, without trailers, and deaf to offers of other protocols.
"""

import time
from http import HTTPStatus

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import ServiceError
from service.http.errors import Refusal
from service.http.limits import Limits, too_large
from service.http.upgrades import head_without_offer, new_parser

# A body in tiny chunks takes several times its bytes on the wire; trailers come on top.
WIRE_FACTOR, WIRE_BYTES = 2, 512 << 10
ENDLESS = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The head has no end; send fewer fields."
)
UNREADABLE = Refusal(HTTPStatus.BAD_REQUEST, "These bytes are no request of HTTP that can be read.")


class ReadingProtocol(HttpToolsProtocol):
    """What arrives on one connection. `inside` tells that the parser stands in a request, `in_head`
    in which part of it. `head_began_s` is None while no head is being received.
    """

    max_head_bytes = 64 << 10
    limits = Limits()
    body_limit = 0  # of the request whose head was taken

    head_began_s: float | None = None
    idle_since_s: float | None = None
    inside = False
    in_head = True
    _head_bytes = 0
    _wire_bytes = 0
    _offers_upgrade = False

    # To be told by the whole protocol

    def take_head(self) -> None:
        """A head is complete."""
        raise NotImplementedError

    def end_body(self) -> None:
        """A body is complete."""
        raise NotImplementedError

    def break_off(self, reason: Refusal | ServiceError) -> None:
        """The body that is being received will not come to a good end."""
        raise NotImplementedError

    def end_with(self, refusal: Refusal | ServiceError) -> None:
        """What comes now is no request: say why, once all answers that are due are given."""
        raise NotImplementedError

    # What the parser is told

    def parse(self, data: bytes) -> None:
        """Feed the parser, and stop a head or a body that grows without end."""
        awaited_since_s = self.head_began_s
        self._feed(data)
        if self.inside and not self.in_head:
            self._wire_bytes += len(data)
            if self._wire_bytes > WIRE_FACTOR * self.body_limit + WIRE_BYTES:
                self.break_off(too_large(self.body_limit))
        # Only what belongs to one head for sure is counted: a chunk may also end a body.
        elif awaited_since_s is not None and self.head_began_s == awaited_since_s:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self.end_with(ENDLESS)

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if not self._offers_upgrade:  # CONNECT, which has its answer
                    return
                data = self._plain_head() + data[offer.args[0] :]
            except httptools.HttpParserError:
                if self.inside and not self.in_head:
                    self.break_off(UNREADABLE)
                else:
                    self.end_with(UNREADABLE)
                return
            else:
                return

    def _plain_head(self) -> bytes:
        """The head that was read, for a parser that has not seen it."""
        parser, self.parser = self.parser, new_parser(self)
        return head_without_offer(
            parser.get_method(), self.url, parser.get_http_version(), self.headers
        )

    # What the parser tells

    def on_message_begin(self) -> None:
        """The first byte of a request is here."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self.head_began_s = time.monotonic()
        self.idle_since_s = None
        self._head_bytes = 0
        self.inside = self.in_head = True
        self._offers_upgrade = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field; those behind the body, which nobody reads, are left out."""
        if self.in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete, unless it is to be read once more without its offer."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._offers_upgrade = True
            return
        self.head_began_s = None
        self._wire_bytes = 0
        self.take_head()
        self.in_head = False  # a target that cannot be read leaves it a head

    def on_message_complete(self) -> None:
        """The end of a body."""
        if not self._offers_upgrade:
            self.inside = False
            self.end_body()

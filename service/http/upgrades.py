"""Requests that offer another protocol. We speak none, and may answer as if they had not (RFC 9110,
section 7.8); the parser instead takes what follows their head for that other protocol.
"""

import httptools

from service.http.exchange import Fields

OFFERS = (b"upgrade", b"http2-settings")


def new_parser(protocol: object) -> httptools.HttpRequestParser:
    """A parser that calls `protocol`, set as uvicorn sets its own."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def head_without_offer(method: bytes, url: bytes, version: str, fields: Fields) -> bytes:
    """The bytes of the head without what it offers."""
    kept = (b"%b: %b" % field for field in fields if field[0] not in OFFERS)
    return b"\r\n".join((b"%b %b HTTP/%b" % (method, url, version.encode()), *kept, b"", b""))

"""Where a load goes, and the bytes that are sent there."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from service.load.errors import LoadError

ASK_S = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A server that speaks plain HTTP/1.1, and headers that every request to it carries."""

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str, headers: Mapping[str, str] | None = None) -> Target:
        """From `http://host:port`; LoadError for anything else."""
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
            raise LoadError(f"{url}: give the server as http://HOST:PORT, without a path")
        return cls(parts.hostname, parts.port or 80, dict(headers or {}))

    @property
    def url(self) -> str:
        """The root, without a slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def post(self, path: str, body: bytes, content_type: str) -> bytes:
        """A whole request, ready for the socket."""
        lines = [
            f"POST {path} HTTP/1.1",
            f"host: {self.host}:{self.port}",
            f"content-type: {content_type}",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join((*lines, "", "")).encode() + body

    def get_json(self, path: str) -> Any:
        """What the server says there; LoadError if it says no JSON."""
        request = urllib.request.Request(self.url + path, headers=dict(self.headers))
        try:
            with urllib.request.urlopen(request, timeout=ASK_S) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            raise LoadError(f"{self.url}{path}: {error}; is the server up?") from error

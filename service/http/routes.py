"""The paths whose POST requests go the short way."""

import time
from dataclasses import dataclass
from typing import NamedTuple

from service.http.edge import Door, Edge, Endpoint, Refused, TurnedAway
from service.http.exchange import Asked


class Standing(NamedTuple):
    """What the last one asked whom the door refused, and was told."""

    asked: Asked
    refused: Refused


@dataclass(slots=True)
class DirectRoute:
    """One of them."""

    edge: Edge
    path: str
    raw_path: bytes
    endpoint: Endpoint
    door: Door | None = None
    standing: Standing | None = None

    def turn_away(self, asked: Asked, body: bytes) -> TurnedAway | None:
        """The answer to a whole request that the door refuses, which is noted; None to go on."""
        if self.door is None:
            return None
        began_s = time.monotonic()
        standing = self.standing
        refused: Refused | None
        if standing is not None and standing.asked is asked and standing.refused.again(body):
            refused = standing.refused
        else:
            refused = self.door(asked, body)
            self.standing = None if refused is None else Standing(asked, refused)
        if refused is None:
            return None
        return self.edge.turn_away(refused, self.path, self.raw_path, began_s)


def direct_routes(edge: Edge) -> dict[bytes, DirectRoute]:
    """Those of this edge, by the path as it stands in a request."""
    return {
        path.encode(): DirectRoute(
            edge, path, path.encode(), endpoint, edge.doors.get((method, path))
        )
        for (method, path), endpoint in edge.direct.items()
        if method == "POST"
    }

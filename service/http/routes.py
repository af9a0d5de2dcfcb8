"""The paths whose POST requests go the short way."""

import time
from dataclasses import dataclass

from service.http.edge import Door, Edge, Endpoint, TurnedAway
from service.http.exchange import Asked


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """One of them."""

    edge: Edge
    path: str
    raw_path: bytes
    endpoint: Endpoint
    door: Door | None = None

    def turn_away(self, asked: Asked, body: bytes) -> TurnedAway | None:
        """The answer to a whole request that the door refuses, which is noted; None to go on."""
        if self.door is None:
            return None
        began_s = time.monotonic()
        refused = self.door(asked, body)
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

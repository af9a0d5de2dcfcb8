"""The paths whose POST requests go the short way."""

from dataclasses import dataclass
from typing import NamedTuple

from service.http.edge import Edge, Endpoint
from service.http.exchange import Asked
from service.http.turning_away import Door, Refused, TurnedAway


class Standing(NamedTuple):
    """What the last one asked whom the door refused, and was told."""

    asked: Asked
    refused: Refused
    told: TurnedAway


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
        """The answer to a whole request that the door refuses; None to go on."""
        if self.door is None:
            return None
        standing = self.standing
        if standing is not None and standing.asked is asked and standing.refused.again(body):
            return standing.told
        refused = self.door(asked, body)
        if refused is None:
            self.standing = None
            return None
        told = self.edge.turning_away.by(refused, self.path, self.raw_path)
        self.standing = Standing(asked, refused, told)
        return told


def direct_routes(edge: Edge) -> dict[bytes, DirectRoute]:
    """Those of this edge, by the path as it stands in a request."""
    return {
        path.encode(): DirectRoute(
            edge, path, path.encode(), endpoint, edge.doors.get((method, path))
        )
        for (method, path), endpoint in edge.direct.items()
        if method == "POST"
    }

"""The paths whose POST requests go the short way."""

from dataclasses import dataclass

from service.http.edge import Door, Edge, Endpoint


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """One of them."""

    edge: Edge
    path: str
    raw_path: bytes
    endpoint: Endpoint
    door: Door | None = None


def direct_routes(edge: Edge) -> dict[bytes, DirectRoute]:
    """Those of this edge, by the path as it stands in a request."""
    return {
        path.encode(): DirectRoute(
            edge, path, path.encode(), endpoint, edge.doors.get((method, path))
        )
        for (method, path), endpoint in edge.direct.items()
        if method == "POST"
    }

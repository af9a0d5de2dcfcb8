"""Ray Serve with one replica and its batching decorator."""

import os
import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from bench.peers.model import Classifier


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0})
class Classify:
    """One picture a call, up to 8 together."""

    def __init__(self) -> None:
        self.classifier = Classifier()

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.0)
    async def run(self, pictures: list[bytes]) -> list[dict[str, Any]]:
        """One batch."""
        return self.classifier.run([self.classifier.decode(data) for data in pictures])

    async def __call__(self, request: Request) -> dict[str, Any]:
        """One picture."""
        found: dict[str, Any] = await self.run(await request.body())
        return found


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, logging_level="error")
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PEER_PORT"])})
    application: Any = Classify
    serve.run(application.bind(), route_prefix="/")
    while True:
        time.sleep(60)

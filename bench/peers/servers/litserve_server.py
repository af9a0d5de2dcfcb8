"""LitServe with batches of up to 8."""

import os
from typing import Any

import litserve
from fastapi import Request

from bench.peers.model import Classifier


class Api(litserve.LitAPI):
    """Decode, run, encode."""

    def setup(self, device: str) -> None:
        """Open the model."""
        self.classifier = Classifier()

    def decode_request(self, request: Request) -> Any:
        """One picture."""
        return self.classifier.decode(request["file"].file.read())

    def batch(self, inputs: Any) -> Any:
        """As a list."""
        return list(inputs)

    def predict(self, images: Any) -> Any:
        """One batch."""
        return self.classifier.run(images)

    def unbatch(self, output: Any) -> Any:
        """Back to single answers."""
        return list(output)

    def encode_response(self, output: Any) -> Any:
        """As JSON."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(max_batch_size=8, batch_timeout=0.0), accelerator="cpu", track_requests=False
    )
    server.run(port=int(os.environ["PEER_PORT"]), generate_client_file=False, log_level="warning")

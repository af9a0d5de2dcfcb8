"""mosec with batches of up to 8; it takes the bytes as they are."""

from typing import Any

from mosec import Server, Worker

from bench.peers.model import Classifier


class Classify(Worker):
    """Decode and run in one process: there is one core."""

    def __init__(self) -> None:
        self.classifier = Classifier()

    def deserialize(self, data: bytes) -> Any:
        """One picture."""
        return self.classifier.decode(data)

    def forward(self, data: list[Any]) -> list[dict[str, Any]]:
        """One batch."""
        return self.classifier.run(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classify, max_batch_size=8, max_wait_time=1)
    server.run()

"""BentoML: a service with one worker."""

from typing import Any

import bentoml
from PIL.Image import Image as PILImage

from bench.peers.model import Classifier


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Classify:
    """One picture a call."""

    def __init__(self) -> None:
        self.classifier = Classifier()

    @bentoml.api
    def classify(self, file: PILImage) -> dict[str, Any]:
        """One picture."""
        return self.classifier.run([self.classifier.normalise(file)])[0]

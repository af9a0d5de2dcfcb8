"""MLServer: a runtime of its own; pictures come as bytes in base64, as its protocol has them."""

import base64
import json

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from bench.peers.model import Classifier


class Classify(MLModel):
    """One picture a call."""

    async def load(self) -> bool:
        """Open the model."""
        self.classifier = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One picture."""
        data = base64.b64decode(payload.inputs[0].data[0])
        found = self.classifier.run([self.classifier.decode(data)])[0]
        output = ResponseOutput(
            name="answer", shape=[1], datatype="BYTES", data=[json.dumps(found)]
        )
        return InferenceResponse(model_name=self.name, outputs=[output])

"""FastAPI as in most tutorials: a plain function, which runs in the thread pool."""

import os
from typing import Any

import uvicorn
from fastapi import FastAPI, UploadFile

from bench.peers.model import Classifier

app = FastAPI()
classifier = Classifier()


@app.post("/classify")
def classify(file: UploadFile) -> dict[str, Any]:
    """One picture."""
    return classifier.run([classifier.decode(file.file.read())])[0]


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PEER_PORT"]), log_level="warning")

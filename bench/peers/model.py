"""The published image model as a user would open it in any server: Pillow, numpy, ONNX Runtime.

Needs nothing of Slipway, since every peer runs in an environment of its own.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from PIL import Image


class Classifier:
    """Decodes pictures, runs them on one thread, names what is in them. Thread-safe."""

    def __init__(self) -> None:
        folder = Path(os.environ["PEER_MODEL"])
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        spec = manifest["preprocessing"]
        self._size = (spec["width"], spec["height"])
        self._mean = np.array(spec["mean"], np.float32)
        self._std = np.array(spec["std"], np.float32)
        self._labels = manifest["labels"]
        variants = {one["precision"]: one["graphs"][0]["file"] for one in manifest["variants"]}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / (variants.get("int8") or variants["fp32"])),
            options,
            providers=["CPUExecutionProvider"],
        )
        self._input = self._session.get_inputs()[0].name

    def decode(self, data: bytes) -> Any:
        """Of a file: channels first, float32, as the network wants it."""
        return self.normalise(Image.open(io.BytesIO(data)))

    def normalise(self, picture: Any) -> Any:
        """Of a picture that is open."""
        image = picture.convert("RGB")
        if image.size != self._size:
            image = image.resize(self._size, Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.float32) / 255
        return ((pixels - self._mean) / self._std).transpose(2, 0, 1)

    def run(self, images: list[Any]) -> list[dict[str, Any]]:
        """The best label of each, with its probability."""
        (logits,) = self._session.run(None, {self._input: np.stack(images).astype(np.float32)})
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances = powers / powers.sum(axis=1, keepdims=True)
        return [
            {"label": self._labels[int(best)], "score": float(row[best])}
            for row, best in zip(chances, chances.argmax(axis=1), strict=True)
        ]

"""Loads published models into ONNX Runtime and answers requests. Never imports torch or onnx."""

import os

# ONNX Runtime reads this once, while it is imported; its telemetry is on by default.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

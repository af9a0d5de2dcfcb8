"""Trains, converts, quantizes, proves and publishes models: the only place with torch."""

import os

# ONNX Runtime reads this once, while it is imported; its telemetry is on by default.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

"""What was published and how to read it: the contract between `export` and `service`."""

import os

# ONNX Runtime reads this once, while it is imported; its telemetry is on by default.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

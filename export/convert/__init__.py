"""From torch networks to ONNX graphs whose axes really are dynamic."""

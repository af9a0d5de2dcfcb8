"""Tensors: many items, one ONNX Runtime call. Knows providers and the decode loop, no task."""

"""The networks, `nn.Module` only: no data, no training, no ONNX."""

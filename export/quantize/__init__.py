"""int8 variants. Weights are signed and use seven bits: see `portable_scales`."""

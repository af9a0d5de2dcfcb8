"""The life of models in this process: verify, load, warm up, serve, retire."""

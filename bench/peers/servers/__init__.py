"""One file a peer; each is run by the Python of its own environment."""

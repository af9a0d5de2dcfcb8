"""The wire over HTTP: bytes to values and back. A route only translates."""

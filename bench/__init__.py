"""Measures the running service. Each file is a program of its own, with a table and JSON out."""

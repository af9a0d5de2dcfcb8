"""Sends load and tells what came back: open and closed loops, capacity under an objective."""

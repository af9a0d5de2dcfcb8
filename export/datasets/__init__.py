"""Reads training data: the official formats as their makers ship them, and the user's own files.

Gives plain arrays and strings with their origin; knows nothing of networks or of torch.
"""

"""One file a published model: its whole story, top to bottom."""

"""MEANING: one item to features, one output row to a prediction. No batch, no session."""

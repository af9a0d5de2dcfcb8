"""What a network learnt before, taken over from a published model or a torch checkpoint."""

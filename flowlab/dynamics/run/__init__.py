"""One run: from a start to its outcome, chunk by chunk."""

"""What late rows of a trajectory tell of its limits."""

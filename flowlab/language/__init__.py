"""What a user writes: networks, losses, schemes, problems, states, data."""

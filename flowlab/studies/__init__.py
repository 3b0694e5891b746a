"""Results that join the flow and the discrete witness."""

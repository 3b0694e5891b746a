"""Many runs of one flow as one compiled program, each with its own clock, step size, events and outcome."""

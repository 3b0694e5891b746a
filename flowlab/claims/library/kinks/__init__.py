"""Claims about networks with kinks, whose flow is a differential inclusion."""

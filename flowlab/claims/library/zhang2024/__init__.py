"""R. Zhang, S. Frei and P. Bartlett, "Trained transformers learn linear models in-context", JMLR 25, 2024."""

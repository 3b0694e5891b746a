"""Zhou, Ge, "Implicit regularization leads to benign overfitting for sparse linear regression" (ICML 2023)."""

"""From flow equations to a vector field that jax can trace."""

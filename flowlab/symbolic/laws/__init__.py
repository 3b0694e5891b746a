"""All quadratic conservation laws of a flow: found as a null space, named by block, and counted."""

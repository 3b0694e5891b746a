"""Runge-Kutta and Rosenbrock steps that diffrax takes, and the coordinates they need."""

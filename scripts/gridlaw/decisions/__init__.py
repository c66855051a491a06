"""Decisions from laws: Pareto front, budget, the cells to run next."""

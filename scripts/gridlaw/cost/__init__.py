"""Estimates of compute, time, energy and money, and what was spent."""

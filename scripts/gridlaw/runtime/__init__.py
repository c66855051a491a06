"""Supervision of processes. No result depends on a module of this package."""

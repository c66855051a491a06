"""Modules that the pipeline's programs share."""

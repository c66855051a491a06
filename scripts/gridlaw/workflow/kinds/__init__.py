"""The kinds of steps, a module for each stage of the workflow."""

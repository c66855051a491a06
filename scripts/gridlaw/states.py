"""States of a step and of a cell, by their names."""

DONE, STALE, NEW, FAILED, INTERRUPTED, RUNNING = "done", "stale", "new", "failed", "interrupted", "running"
# Of a cell alone.
PARTLY = "partly done"

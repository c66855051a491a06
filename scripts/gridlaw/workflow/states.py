"""Names of the states of steps and cells."""

DONE, STALE, NEW, FAILED, INTERRUPTED, RUNNING = "done", "stale", "new", "failed", "interrupted", "running"
# A state of cells only.
PARTLY = "partly done"

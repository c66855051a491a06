"""Pre-training objectives: how rows become a loss."""

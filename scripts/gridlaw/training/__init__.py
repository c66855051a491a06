"""Pre-training and fine-tuning, resumable to the bit."""

"""What the pipeline's programs share."""

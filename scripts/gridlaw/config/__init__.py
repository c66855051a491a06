"""The configuration: what the user wrote, checked and completed."""

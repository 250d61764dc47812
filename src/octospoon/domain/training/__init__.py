"""Training jobs and when they start."""

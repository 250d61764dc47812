"""Training with a program of the user, `Trainer=command`."""

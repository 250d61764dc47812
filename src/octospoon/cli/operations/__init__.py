"""What the commands do to a deployment, a model or pictures; nothing here reads the command line."""

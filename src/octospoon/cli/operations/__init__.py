"""What the commands do to a deployment, a model or images; nothing here reads the command line."""

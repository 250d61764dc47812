"""The operations of the commands on a deployment, a model or images. None reads the command line."""

"""The use cases of the system, which depend on the ports alone."""

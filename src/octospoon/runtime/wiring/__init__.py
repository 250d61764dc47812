"""The composition root: ports meet adapters here, with one module for each function."""

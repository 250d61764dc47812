"""Drift detection, and observations of the model in service."""

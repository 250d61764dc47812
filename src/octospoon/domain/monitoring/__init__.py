"""Drift and observations of models in service."""

"""Runs a training job."""

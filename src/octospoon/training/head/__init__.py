"""Trains the classification head."""

"""Backbones that octospoon knows by name."""

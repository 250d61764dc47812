"""Acquisition strategies: one file each, plain functions over arrays."""

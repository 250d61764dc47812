"""Datasets and embeddings."""

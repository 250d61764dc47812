"""The demo: the whole loop on handwritten digits."""

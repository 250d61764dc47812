"""The code that the training container runs."""

"""What the training container runs."""

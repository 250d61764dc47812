"""The code that the training container runs."""

import os

# By default, an OpenMP thread that waits for the others keeps its processor busy. Beside other programs, a
# step of a detector's training then took four times as long. GNU OpenMP reads this when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""The trainer of detectors: a feature pyramid and anchor-free heads on a frozen backbone, with PyTorch."""

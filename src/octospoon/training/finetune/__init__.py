"""The second trainer, which also trains the backbone. Needs the extra ``finetune`` (PyTorch)."""

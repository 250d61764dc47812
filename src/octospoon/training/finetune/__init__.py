"""The second trainer: the backbone's own weights learn too. Needs the extra ``finetune`` (PyTorch)."""

"""Labelling tasks, answers and labels."""

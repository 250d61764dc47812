"""One class per image. A label is the name of the class, and its stored form is that name."""

from octospoon.domain.task_types.classification.task_type import CLASSIFICATION

__all__ = ["CLASSIFICATION"]

"""A box and a class for every object. A label is a tuple of boxes, and may be empty."""

from octospoon.domain.task_types.detection.task_type import DETECTION

__all__ = ["DETECTION"]

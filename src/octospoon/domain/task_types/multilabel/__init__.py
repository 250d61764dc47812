"""Several classes per image, or none. A label is the set of their names."""

from octospoon.domain.task_types.multilabel.task_type import MULTILABEL

__all__ = ["MULTILABEL"]

"""The labels of a project in terms of its present classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.task_types.task_type import StoredLabels


def labelled_now(
    images: Iterable[LabelledImage], labels: StoredLabels, history: ClassHistory
) -> Iterator[LabelledImage]:
    """Yield labelled images with what each label stands for now; none whose label no longer counts.

    Args:
        images: the labelled images.
        labels: the meaning of their labels.
        history: the project's classes.
    """
    for image in images:
        label = labels.current(image.label, history)
        if label is not None:
            yield replace(image, label=label)

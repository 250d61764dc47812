"""How the evaluation of each task type is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from octospoon.domain.task_types.names import TaskTypeName
from octospoon.training.report import any_classes, boxes, one_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.evaluation.gate import Targets
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.training.evaluation.gate import Judged
    from octospoon.training.report.contact_sheet import Tile


class Report(Protocol):
    """Shows the evaluation of one task type."""

    def write_evaluation(self, folder: Path, classes: Sequence[str], judged: Judged, labels: Targets) -> None:
        """Write files about the audit images, beside ``evaluation.json``.

        Args:
            folder: an existing folder.
            classes: C class names.
            judged: predictions for N audit images, and their evaluation.
            labels: the targets of the task type, with N rows.
        """

    def mistakes(
        self,
        classes: Sequence[str],
        images: Sequence[LabelledImage],
        labels: Targets,
        answers: npt.NDArray[np.floating],
    ) -> list[Tile]:
        """Return tiles of the images with the highest loss.

        Args:
            classes: C class names.
            images: N labelled images.
            labels: the targets of the task type, with N rows.
            answers: float [N, C], their probabilities, or [N, K, 4 + C] with boxes.
        """


REPORTS: Mapping[str, Report] = {
    TaskTypeName.CLASSIFICATION: one_class,
    TaskTypeName.MULTILABEL: any_classes,
    TaskTypeName.DETECTION: boxes,
}
"""The report of each task type, by its name."""

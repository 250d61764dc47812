"""The task type with a box and a class for every object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.labelling import class_translation
from octospoon.domain.task_types.detection import predictions
from octospoon.domain.task_types.detection.consensus import consensus
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.domain.task_types.detection.translation import translation
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.domain.task_types.task_type import Labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.consensus import Consensus
    from octospoon.domain.labelling.tasks import Annotation
    from octospoon.domain.pool.images import Uncertainty
    from octospoon.domain.task_types.evaluator import Evaluator
    from octospoon.domain.task_types.task_type import Predicted, Translation


class Detection:
    """Implements `octospoon.domain.task_types.task_type.TaskType`. Predictions are float [N, K, 4 + C]."""

    name = TaskTypeName.DETECTION
    labels = Labels(Boxes())
    activation = ""

    def consensus(self, annotations: Iterable[Annotation], history: ClassHistory) -> Consensus:
        """Return the boxes that most annotators of an image drew."""
        return consensus(annotations, history)

    def translation(self, history: ClassHistory, model: Sequence[str]) -> Translation:
        """Return how the predictions of a model become those of the project's classes."""
        return translation(class_translation.translation(history, model))

    def uncertainties(self, probabilities: npt.NDArray[np.floating]) -> list[Uncertainty]:
        """Return every uncertainty score of each image."""
        return predictions.uncertainties(probabilities)

    def outcomes(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating] | None:
        """Return that a prediction stands, and that it does not, as float [N, 2]."""
        return predictions.outcomes(probabilities)

    def predicted(self, probabilities: npt.NDArray[np.floating], classes: Sequence[str]) -> list[Predicted]:
        """Return the boxes that annotators see."""
        return predictions.predicted(probabilities, classes)

    @property
    def evaluator(self) -> Evaluator:
        """How good a detector is."""
        from octospoon.domain.task_types.detection.evaluation import DetectionEvaluator

        return DetectionEvaluator()


DETECTION = Detection()

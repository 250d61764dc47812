"""The task type with one class per image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.labelling.class_translation import translation
from octospoon.domain.model_spec import SOFTMAX
from octospoon.domain.task_types.classification import predictions
from octospoon.domain.task_types.classification.consensus import consensus
from octospoon.domain.task_types.classification.label import ClassName
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


class Classification:
    """Implements `octospoon.domain.task_types.task_type.TaskType`."""

    name = TaskTypeName.CLASSIFICATION
    labels = Labels(ClassName())
    activation = SOFTMAX

    def consensus(self, annotations: Iterable[Annotation], history: ClassHistory) -> Consensus:
        """Return the class that most annotators of an image chose."""
        return consensus(annotations, history)

    def translation(self, history: ClassHistory, model: Sequence[str]) -> Translation:
        """Return how the probabilities of a model become those of the project's classes."""
        return translation(history, model)

    def uncertainties(self, probabilities: npt.NDArray[np.floating]) -> list[Uncertainty]:
        """Return every uncertainty score of each image, from float [N, C]."""
        return predictions.uncertainties(probabilities)

    def outcomes(self, probabilities: npt.NDArray[np.floating]) -> None:
        """Return None: the classes exclude each other, so strategies compare their probabilities."""

    def predicted(self, probabilities: npt.NDArray[np.floating], classes: Sequence[str]) -> list[Predicted]:
        """Return the most probable class of each image, from float [N, C]."""
        return predictions.predicted(probabilities, classes)

    @property
    def evaluator(self) -> Evaluator:
        """How good a classifier is."""
        from octospoon.domain.task_types.classification.evaluation import ClassificationEvaluator

        return ClassificationEvaluator()


CLASSIFICATION = Classification()

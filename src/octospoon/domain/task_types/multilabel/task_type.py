"""The task type with any number of classes per image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.labelling import class_translation
from octospoon.domain.model_spec import SIGMOID
from octospoon.domain.task_types.multilabel import predictions
from octospoon.domain.task_types.multilabel.consensus import consensus
from octospoon.domain.task_types.multilabel.label import ClassNames
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


class Multilabel:
    """Implements `octospoon.domain.task_types.task_type.TaskType`."""

    name = TaskTypeName.MULTILABEL
    labels = Labels(ClassNames())
    activation = SIGMOID

    def consensus(self, annotations: Iterable[Annotation], history: ClassHistory) -> Consensus:
        """Return the classes that most annotators of an image chose."""
        return consensus(annotations, history)

    def translation(self, history: ClassHistory, model: Sequence[str]) -> Translation:
        """Return how the probabilities of a model become those of the project's classes."""
        return predictions.translation(class_translation.translation(history, model))

    def uncertainties(self, probabilities: npt.NDArray[np.floating]) -> list[Uncertainty]:
        """Return every uncertainty score of each image, from float [N, C]."""
        return predictions.uncertainties(probabilities)

    def outcomes(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return two outcomes of each image, wrong and right decisions, float64 [N, 2]."""
        return predictions.outcomes(probabilities)

    def predicted(self, probabilities: npt.NDArray[np.floating], classes: Sequence[str]) -> list[Predicted]:
        """Return the classes that each image most likely has, from float [N, C]."""
        return predictions.predicted(probabilities, classes)

    @property
    def evaluator(self) -> Evaluator:
        """How good a model with one sigmoid per class is."""
        from octospoon.domain.task_types.multilabel.evaluation import MultilabelEvaluator

        return MultilabelEvaluator()


MULTILABEL = Multilabel()

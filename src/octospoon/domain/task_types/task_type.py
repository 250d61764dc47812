"""Define what a task type is: the functions that give one kind of label its meaning.

Tables, snapshots and events hold a label in its stored form, a text. Only the task type reads it. All
functions are pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.consensus import Consensus
    from octospoon.domain.labelling.tasks import Annotation
    from octospoon.domain.pool.images import Uncertainty
    from octospoon.domain.task_types.evaluator import Evaluator

V = TypeVar("V")


class LabelForm(Protocol[V]):
    """The typed value of a label, and the text that stores it."""

    def read(self, stored: str) -> V:
        """Return the value that a text stores.

        Raises:
            BadRequest: the text is not a label of this task type.
        """

    def write(self, value: V) -> str:
        """Return the canonical text of a value: equal values have equal texts."""

    def classes(self, value: V) -> tuple[str, ...]:
        """Return the names of the classes in a value, each once."""

    def renamed(self, value: V, name: Callable[[str], str | None]) -> V | None:
        """Return the value with other names for its classes.

        Args:
            value: of a label.
            name: returns the new name of a class; None for a class that no longer counts.

        Returns:
            None if no value is left.
        """

    def text(self, value: V) -> str:
        """Return the value as people read it."""


class StoredLabels(Protocol):
    """Labels in their stored form, in terms of the project's classes."""

    def classes(self, label: str) -> tuple[str, ...]:
        """Return the names of the classes that a label records, each once."""

    def known(self, label: str, history: ClassHistory) -> bool:
        """Return whether the project has or had every class of a label."""

    def current(self, label: str, history: ClassHistory) -> str | None:
        """Return what a recorded label stands for now; None if nothing of it counts any longer."""

    def shown(self, label: str, history: ClassHistory) -> str:
        """Return a label as people read it, with the present names of its own classes.

        Classes that are merged or retired keep their own names; see `ClassHistory.shown`.
        """

    def same(self, label: str, other: str, history: ClassHistory) -> bool:
        """Return True if two recorded labels mean the same now."""

    def fates(self, label: str, history: ClassHistory) -> Iterator[str]:
        """Yield a text for each class of a label that is merged or retired."""


@dataclass(frozen=True, slots=True)
class Labels(Generic[V]):
    """Implements `StoredLabels` for any form of labels."""

    form: LabelForm[V]

    def classes(self, label: str) -> tuple[str, ...]:
        """Return the names of the classes that a label records, each once."""
        return self.form.classes(self.form.read(label))

    def known(self, label: str, history: ClassHistory) -> bool:
        """Return whether the project has or had every class of a label."""
        return all(history.of(name) for name in self.classes(label))

    def current(self, label: str, history: ClassHistory) -> str | None:
        """Return what a recorded label stands for now; None if nothing of it counts any longer."""
        value = self.form.renamed(self.form.read(label), history.current)
        return None if value is None else self.form.write(value)

    def shown(self, label: str, history: ClassHistory) -> str:
        """Return a label as people read it, with the present names of its own classes."""
        value = self.form.renamed(self.form.read(label), history.shown)
        return "" if value is None else self.form.text(value)

    def same(self, label: str, other: str, history: ClassHistory) -> bool:
        """Return True if two recorded labels mean the same now."""
        first, second = (self.form.renamed(self.form.read(text), history.identity) for text in (label, other))
        return first == second

    def fates(self, label: str, history: ClassHistory) -> Iterator[str]:
        """Yield a text for each class of a label that is merged or retired."""
        for name in self.classes(label):
            if fate := history.fate(name):
                yield f"{history.shown(name)} is {fate}"


@dataclass(frozen=True, slots=True)
class Predicted:
    """The prediction of a model for one image, in the form of a label.

    Attributes:
        label: in its stored form.
        confidence: the model's certainty, in [0, 1].
        scores: the certainty of each part of the label, in the order of its text, if it has several with
            scores of their own; empty otherwise.
    """

    label: str
    confidence: float
    scores: tuple[float, ...] = ()


class Translation(Protocol):
    """Translates the probabilities of a model to the classes that the project has now."""

    @property
    def names(self) -> tuple[str, ...]:
        """C names: the project's classes that the model knows, in the project's order."""

    def __call__(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return probabilities float [N, C] of the project's classes for float [N, B] of the model."""


class TaskType(Protocol):
    """One kind of label."""

    @property
    def name(self) -> str:
        """The name in settings and files."""

    @property
    def labels(self) -> StoredLabels:
        """The meaning of stored labels."""

    @property
    def activation(self) -> str:
        """How the heads of its models end, one of `octospoon.domain.model_spec.ACTIVATIONS`.

        It is empty if its models have no head on embeddings.
        """

    def consensus(self, annotations: Iterable[Annotation], history: ClassHistory) -> Consensus:
        """Combine the annotations of one image into its label.

        Args:
            annotations: of one image, in any order.
            history: the project's classes.
        """

    def translation(self, history: ClassHistory, model: Sequence[str]) -> Translation:
        """Return how the probabilities of a model become those of the project's classes.

        Args:
            history: the project's classes.
            model: names of the model's B classes, in order, from the time of its training.
        """

    def uncertainties(self, probabilities: npt.NDArray[np.floating]) -> list[Uncertainty]:
        """Return every uncertainty score of each image.

        Args:
            probabilities: float [N, C], C >= 2.

        Raises:
            ValueError: the array has the wrong shape, or holds NaN or infinity.
        """

    def outcomes(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating] | None:
        """Return the outcomes whose probabilities strategies compare; None if these are the classes.

        The scores of strategies equal those of `uncertainties`.

        Args:
            probabilities: float [N, C], C >= 2.

        Returns:
            float [N, K], K >= 2; each row sums to one.

        Raises:
            ValueError: the array has the wrong shape, or holds NaN or infinity.
        """

    def predicted(self, probabilities: npt.NDArray[np.floating], classes: Sequence[str]) -> list[Predicted]:
        """Return the predictions that annotators see.

        Args:
            probabilities: float [N, C].
            classes: C class names, at least one.
        """

    @property
    def evaluator(self) -> Evaluator:
        """How good a model is; it is loaded when it is first asked for, because scoring needs none of it."""

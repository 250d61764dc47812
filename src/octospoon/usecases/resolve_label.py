"""Resolve an image's label: what the annotators of its bytes agree on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import Conflict
from octospoon.domain.labelling.answers import NOT_IN_POOL
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.pool.keys import image_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from octospoon.domain.labelling.tasks import Annotation
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.ports.labelling import Labels

LOG = logging.getLogger(__name__)
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class ResolveLabel:
    """The use case. It is idempotent.

    Attributes:
        labels: the annotations and labels.
        task_type: the kind of label.
        history: returns the classes that count; all stored ones count while they are unknown.
        notes_problems: store with each answer whether its image is in the pool.
    """

    labels: Labels
    task_type: TaskType
    history: Callable[[], ClassHistory] = ClassHistory
    notes_problems: bool = False

    def __call__(self, key: str) -> int:
        """Store the label that an image's annotators agree on; return the change of the number of labels.

        Raises:
            Conflict: the image kept changing; the call can be repeated.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._resolve(key)
            except Conflict:
                LOG.info("%s changed while its label was resolved: trying again", key)
        return self._resolve(key)

    def _resolve(self, key: str) -> int:
        # read the image before its annotations: whoever stores an annotation later resolves the label again
        state = self.labels.label_state(key)
        if state is None:
            LOG.info("%s is not in the pool: its annotations do not count", key)
            self._note(self.labels.of(key) if self.notes_problems else (), NOT_IN_POOL)
            return 0
        annotations = [annotation for annotation in self.labels.of(key) if annotation.etag == state.etag]
        self._note([annotation for annotation in annotations if annotation.problem == NOT_IN_POOL], "")
        if state.reserved:  # an imported label never serves as audit
            annotations = [annotation for annotation in annotations if annotation.source != IMPORTED]
        classes = self.history()
        counted = [self._counted(annotation, classes) for annotation in annotations]
        agreed = self.task_type.consensus(counted, classes)
        delta = self.labels.resolve_label(state, agreed)
        image = {"image": image_id(key, state.etag)}
        shown = None if agreed.label is None else self.task_type.labels.shown(agreed.label, classes)
        LOG.info("label of %s: %s (%+d)", key, shown, delta, extra=image)
        return delta

    def _note(self, annotations: Iterable[Annotation], problem: str) -> None:
        """Store with each answer that names a class why it does not count; an empty reason if it counts."""
        for annotation in annotations:
            known = annotation.label is None or annotation.deleted or annotation.problem == problem
            if self.notes_problems and not known and annotation.source != IMPORTED:
                self.labels.replace(annotation, replace(annotation, problem=problem))

    def _counted(self, annotation: Annotation, classes: ClassHistory) -> Annotation:
        """Return an annotation as it counts now: without its label if the project never had the class."""
        label = annotation.label
        if not classes.first or label is None or self.task_type.labels.known(label, classes):
            return annotation
        LOG.warning("%s: the project has no class %r", annotation.key, label)
        return replace(annotation, label=None)

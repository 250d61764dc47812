"""Compare the stored annotations of images with those in Label Studio."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from octospoon.domain.labelling.answers import NOT_IN_POOL
from octospoon.domain.labelling.imported import IMPORTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.labelling.tasks import Annotation
    from octospoon.ports.labelling import AnnotatedTask, Labeler
    from octospoon.usecases.collect import CollectAnnotations


class Compared(NamedTuple):
    """The result of comparing the annotations of some images.

    Attributes:
        repaired: repairs, counted by kind.
        missing: stored annotations that the project no longer has.
        elsewhere: stored annotations of another or an unknown project; they are kept.
    """

    repaired: Counter[str]
    missing: list[Annotation]
    elsewhere: int


@dataclass(frozen=True, slots=True)
class CompareAnnotations:
    """The use case.

    Attributes:
        labeler: Label Studio.
        collect: how labels are counted.
    """

    labeler: Labeler
    collect: CollectAnnotations

    def __call__(self, keys: Sequence[str], tasks: Sequence[AnnotatedTask]) -> Compared:
        """Compare and repair.

        Args:
            keys: of the images.
            tasks: all tasks of these images.
        """
        project = self.labeler.project()
        tasks_of = defaultdict(list)
        for task in tasks:
            tasks_of[task.key].append(task)
        repaired: Counter[str] = Counter()
        missing: list[Annotation] = []
        elsewhere, answered = 0, []
        for key in keys:
            stored = {annotation.annotation_id: annotation for annotation in self.collect.labels.of(key)}
            listed = self._listed(tasks_of[key], project)
            if stored or listed:
                changed = sum(
                    self._store(annotation, stored.get(annotation.annotation_id)) for annotation in listed
                )
                repaired["annotations"] += changed
                answered += [key] if changed else []
                repaired["labels"] += abs(self.collect.resolve_label(key))
            ids = {annotation.annotation_id for annotation in listed}
            gone = [stored[id_] for id_ in stored if id_ not in ids and _is_alive(stored[id_])]
            ours = [annotation for annotation in gone if annotation.project == project]
            elsewhere += len(gone) - len(ours)
            # the tasks may have been read before the table: ask for each annotation itself
            missing += [annotation for annotation in ours if not self.labeler.has(annotation)]
        self.collect.answered(answered)
        return Compared(repaired, missing, elsewhere)

    def _listed(self, tasks: Sequence[AnnotatedTask], project: str) -> list[Annotation]:
        """Return the annotations that Label Studio has in these tasks."""
        return [self.collect.annotation(body, task, project) for task in tasks for body in task.annotations]

    def _store(self, current: Annotation, stored: Annotation | None) -> bool:
        """Store Label Studio's current version of an annotation; return whether that was a repair."""
        labels = self.collect.labels
        if stored is not None and stored.problem == NOT_IN_POOL and current.label is not None:
            current = replace(current, problem=NOT_IN_POOL)  # known from resolving, not from Label Studio
        if stored is None or (stored.updated_at < current.updated_at and not stored.deleted):
            return labels.upsert(current)
        if stored == current or not (stored.deleted or stored.updated_at == current.updated_at):
            return False
        if replace(stored, project=current.project) == current:
            labels.replace(stored, current)  # only the project was unknown, or another one
            return False
        # it was stored as deleted, or read by other rules: Label Studio's version is right
        return self.labeler.has(current) and labels.replace(stored, current)


def _is_alive(stored: Annotation) -> bool:
    """Return whether Label Studio should have a stored annotation; it never had imported ones."""
    return not stored.deleted and stored.source != IMPORTED

"""Compare what is stored of some images' annotations with what Label Studio has of them now."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from octospoon.domain.labelling.answers import NOT_IN_POOL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.labelling.tasks import Annotation
    from octospoon.ports.labelling import AnnotatedTask, Labeler
    from octospoon.usecases.collect import CollectAnnotations


class Compared(NamedTuple):
    """What became of the annotations of some images.

    Attributes:
        repaired: counted by kind.
        missing: stored annotations that the project no longer has.
        elsewhere: stored annotations of another project, or of an unknown one: they are kept.
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
        """Settle what is stored of these images against their tasks, which must be all."""
        project = self.labeler.project()
        there = defaultdict(list)
        for task in tasks:
            there[task.key].append(task)
        repaired: Counter[str] = Counter()
        missing: list[Annotation] = []
        elsewhere, answered = 0, []
        for key in keys:
            stored = {one.annotation_id: one for one in self.collect.labels.of(key)}
            listed = [
                self.collect.annotation(body, task, project)
                for task in there[key]
                for body in task.annotations
            ]
            if stored or listed:
                changed = sum(self._store(one, stored.get(one.annotation_id)) for one in listed)
                repaired["annotations"] += changed
                answered += [key] if changed else []
                repaired["labels"] += abs(self.collect.resolve_label(key))
            names = {one.annotation_id for one in listed}
            gone = [one for one in stored.values() if one.annotation_id not in names and not one.deleted]
            ours = [one for one in gone if one.project == project]
            elsewhere += len(gone) - len(ours)
            # the tasks may have been read before the table: ask for this very annotation
            missing += [one for one in ours if not self.labeler.has(one)]
        self.collect.answered(answered)
        return Compared(repaired, missing, elsewhere)

    def _store(self, one: Annotation, before: Annotation | None) -> bool:
        """Store what Label Studio has now of an annotation; say whether that was a repair."""
        labels = self.collect.labels
        if before is not None and before.problem == NOT_IN_POOL and one.label is not None:
            one = replace(one, problem=NOT_IN_POOL)  # settling says so, not Label Studio
        if before is None or (before.updated_at < one.updated_at and not before.deleted):
            return labels.upsert(one)
        if before == one or not (before.deleted or before.updated_at == one.updated_at):
            return False
        if replace(before, project=one.project) == one:
            labels.replace(before, one)  # which project it is in was not known, or was another
            return False
        # taken for deleted, or read by other rules: what Label Studio has now is right
        return self.labeler.has(one) and labels.replace(before, one)

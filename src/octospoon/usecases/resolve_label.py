"""Settle an image's label: what the annotators of its bytes agree on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import Conflict
from octospoon.domain.labelling.answers import NOT_IN_POOL
from octospoon.domain.labelling.consensus import consensus
from octospoon.domain.pool.keys import image_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from octospoon.domain.labelling.tasks import Annotation
    from octospoon.ports.labelling import Labels

LOG = logging.getLogger(__name__)
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class ResolveLabel:
    """The use case; it can be repeated at any time.

    Attributes:
        labels: what annotators said.
        classes: those that count; none for all that are stored.
        notes_problems: store with answers whether their image is in the pool.
    """

    labels: Labels
    classes: tuple[str, ...] = ()
    notes_problems: bool = False

    def __call__(self, key: str) -> int:
        """Make what its annotators agree on an image's label; return the change of the number of labels.

        Raises:
            Conflict: the image kept changing meanwhile; it can be settled again.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._settle(key)
            except Conflict:
                LOG.info("%s changed while it was settled: trying again", key)
        return self._settle(key)

    def _settle(self, key: str) -> int:
        # the image is read before its annotations: whoever stores one later settles it once more
        standing = self.labels.label_state(key)
        if standing is None:
            LOG.info("%s is not in the pool: its annotations do not count", key)
            self._note(self.labels.of(key) if self.notes_problems else (), NOT_IN_POOL)
            return 0
        annotations = [one for one in self.labels.of(key) if one.etag == standing.etag]
        self._note([one for one in annotations if one.problem == NOT_IN_POOL], "")
        agreed = consensus(self._counted(one) for one in annotations)
        delta = self.labels.resolve_label(standing, agreed)
        told = {"image": image_id(key, standing.etag)}
        LOG.info("settled %s: %s (%+d)", key, agreed.label, delta, extra=told)
        return delta

    def _note(self, annotations: Iterable[Annotation], problem: str) -> None:
        """Store with answers that name a class why they do not count, or that nothing keeps them from it."""
        for one in annotations:
            known = one.label is None or one.deleted or one.problem == problem
            if self.notes_problems and not known:
                self.labels.replace(one, replace(one, problem=problem))

    def _counted(self, annotation: Annotation) -> Annotation:
        """Return an annotation as it counts now: a class that the project has no more is no label."""
        if not self.classes or annotation.label is None or annotation.label in self.classes:
            return annotation
        LOG.warning("%s: the project has no class %r any more", annotation.key, annotation.label)
        return replace(annotation, label=None)

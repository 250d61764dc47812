"""Remove the annotations that Label Studio no longer has; many at once only if a person accepts it.

A walk over the tasks or the stored annotations records the missing annotations, page by page, and removes
nothing. Its last step decides: it removes a few annotations, but proposes the removal of many. While a
proposal waits, no missing annotation is removed. It ends when a person accepts it, or when a walk over
everything finds only a few missing.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.labelling.removals import Proposal, count_that_decides, is_mass, labels_of, proposal
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.labelling.tasks import Annotation
    from octospoon.ports.clock import Clock
    from octospoon.ports.labelling import Labeler
    from octospoon.ports.pool import PoolEntries
    from octospoon.ports.reconciliation import MissingAnnotations, Proposals
    from octospoon.usecases.collect import CollectAnnotations

LOG = logging.getLogger(__name__)
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Removals:
    """The use case.

    Attributes:
        labeler: Label Studio.
        missing: the annotations that the walks found missing.
        proposals: the mass removal that waits for a person.
        pool: the images.
        collect: counts labels.
        clock: the time.
    """

    labeler: Labeler
    missing: MissingAnnotations
    proposals: Proposals
    pool: PoolEntries
    collect: CollectAnnotations
    clock: Clock

    def keep(self, walk: str, page: str, annotations: Sequence[Annotation]) -> None:
        """Record the missing annotations of one page, before the walk continues with the next page."""
        if annotations:
            self.missing.add(walk, page, annotations)

    def decide(self, walk: str, project: str, *, everything: bool) -> Counter[str]:
        """Remove the annotations that a walk found missing, or propose it; count the repairs.

        Args:
            walk: the walk, whose pages are all done.
            project: the project of the walk.
            everything: whether the walk compared every stored annotation.
        """
        held = self.proposals.read()
        missing = self.missing.of(walk)
        if held.accepted or (held.waits and not everything):
            return Counter()
        labels = labels_of(missing)
        if is_mass(len(labels), self._labelled(count_that_decides(len(labels)))):
            self._propose(held, proposal(missing, project, walk, self.clock.now()))
            return Counter()
        if held.waits and not self.proposals.save(held, Proposal()):
            return Counter()
        return self._remove(missing)

    def accept(self, proposal_id: str) -> str:
        """Accept the proposed removal; return why it is refused, or an empty text."""
        held = self.proposals.read()
        if held.id != proposal_id or not held.id:
            return (
                "the missing labels have changed since the proposal: see `octospoon status`, and accept again"
            )
        if held.project != self.labeler.project():
            return "the proposal belongs to another project than the connected one"
        if not held.accepted and not self.proposals.save(held, replace(held, accepted=True)):
            return "another run is checking the missing annotations: try again"
        return ""

    def apply(self, until: float) -> Counter[str]:
        """Continue the removal that a person accepted, until this time."""
        held = self.proposals.read()
        if not held.accepted:
            return Counter()
        repaired: Counter[str] = Counter()
        if held.project == self.labeler.project():
            missing = self.missing.of(held.walk)
            while held.applied < len(missing):
                if self.clock.now() >= until:
                    return repaired
                repaired += self._remove(missing[held.applied : held.applied + _PAGE])
                done = replace(held, applied=held.applied + _PAGE)
                if not self.proposals.save(held, done):
                    return repaired
                held = done
        self.proposals.save(held, Proposal())
        return repaired

    def _propose(self, held: Proposal, new: Proposal) -> None:
        LOG.error(
            "project %s no longer has the annotations of %d labels: no label is removed until a person runs "
            "`octospoon reconcile --accept-removals`",
            new.project,
            new.labels,
        )
        found_at = held.found_at if held.id == new.id else new.found_at
        if not self.proposals.save(held, replace(new, found_at=found_at)):
            LOG.info("another run has proposed a removal")

    def _remove(self, annotations: Sequence[Annotation]) -> Counter[str]:
        repaired: Counter[str] = Counter()
        by_image: defaultdict[str, list[Annotation]] = defaultdict(list)
        for annotation in annotations:
            by_image[annotation.key].append(annotation)
        for key, missing in by_image.items():
            for stored in self.collect.labels.of(key):
                gone = any(_is_version(stored, annotation) for annotation in missing)
                if gone and not self.labeler.has(stored):
                    deleted = replace(stored, deleted=True)
                    repaired["annotations"] += self.collect.labels.replace(stored, deleted)
        for key in sorted(by_image):
            repaired["labels"] += abs(self.collect.resolve_label(key))
        return repaired

    def _labelled(self, enough: int) -> int:
        """Count labelled images, up to `enough` of them."""
        labelled: set[str] = set()
        after = ""
        while len(labelled) < enough:
            keys, after = self.collect.labels.keys(after, _PAGE)
            entries = self.pool.entries(keys).values()
            labelled.update(entry.key for entry in entries if entry.state is State.LABELLED)
            if not after:
                break
        return len(labelled)


def _is_version(stored: Annotation, missing: Annotation) -> bool:
    """Return whether a stored annotation is the version that was found missing.

    Its problem is not compared, because that changes with its image.
    """
    names = (missing.annotation_id, missing.updated_at, missing.project)
    return not stored.deleted and (stored.annotation_id, stored.updated_at, stored.project) == names

"""Take back the annotations that Label Studio no longer has, but never many at once without a person.

A walk over the tasks or over the stored annotations keeps what is missing, page by page, and removes nothing.
Its last step decides: a few annotations are removed, many are proposed. A proposal holds up every removal by
absence until a person accepts it, or until a walk over everything finds few missing.
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
    from octospoon.ports.labelling import Labeler, MissingAnnotations, Proposals
    from octospoon.ports.pool import PoolEntries
    from octospoon.usecases.collect import CollectAnnotations

LOG = logging.getLogger(__name__)
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Removals:
    """The use case.

    Attributes:
        labeler: Label Studio.
        missing: what the walks found missing.
        proposals: the mass removal that waits for a person.
        pool: the images.
        collect: how labels are counted.
        clock: the time.
    """

    labeler: Labeler
    missing: MissingAnnotations
    proposals: Proposals
    pool: PoolEntries
    collect: CollectAnnotations
    clock: Clock

    def keep(self, walk: str, page: str, annotations: Sequence[Annotation]) -> None:
        """Keep what is missing of one page, before the walk goes on to the next."""
        if annotations:
            self.missing.add(walk, page, annotations)

    def decide(self, walk: str, project: str, *, everything: bool) -> Counter[str]:
        """Remove what a finished walk found missing, or propose to; count the repairs.

        Args:
            walk: that is finished but for this.
            project: which was walked through.
            everything: the walk looked at every stored annotation.
        """
        held = self.proposals.read()
        found = self.missing.of(walk)
        if held.accepted or (held.waits and not everything):
            return Counter()
        labels = labels_of(found)
        if is_mass(len(labels), self._labelled(count_that_decides(len(labels)))):
            self._propose(held, proposal(found, project, walk, self.clock.now()))
            return Counter()
        if held.waits and not self.proposals.save(held, Proposal()):
            return Counter()
        return self._remove(found)

    def accept(self, proposal_id: str) -> str:
        """Have the proposed annotations removed; return why not, empty where they are being removed."""
        held = self.proposals.read()
        if held.id != proposal_id or not held.id:
            return "what is missing has changed since: look at `octospoon status` and accept it anew"
        if held.project != self.labeler.project():
            return "the annotations are missing in another project than the one that is connected now"
        if not held.accepted and not self.proposals.save(held, replace(held, accepted=True)):
            return "what is missing is being looked at by another run: try again"
        return ""

    def apply(self, until: float) -> Counter[str]:
        """Go on with the removal that a person accepted, until this time."""
        held = self.proposals.read()
        if not held.accepted:
            return Counter()
        repaired: Counter[str] = Counter()
        if held.project == self.labeler.project():
            found = self.missing.of(held.walk)
            while held.applied < len(found):
                if self.clock.now() >= until:
                    return repaired
                repaired += self._remove(found[held.applied : held.applied + _PAGE])
                done = replace(held, applied=held.applied + _PAGE)
                if not self.proposals.save(held, done):
                    return repaired
                held = done
        self.proposals.save(held, Proposal())
        return repaired

    def _propose(self, held: Proposal, new: Proposal) -> None:
        LOG.error(
            "%d labels would be removed, because project %s does not have their annotations: nothing is "
            "removed until a person runs `octospoon reconcile --accept-removals`",
            new.labels,
            new.project,
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


def _is_version(stored: Annotation, found: Annotation) -> bool:
    """Say whether a stored annotation is the version that was found missing.

    Why it does not count is left aside: that changes with its image.
    """
    names = (found.annotation_id, found.updated_at, found.project)
    return not stored.deleted and (stored.annotation_id, stored.updated_at, stored.project) == names

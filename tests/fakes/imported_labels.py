"""Imported labels in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import Conflict
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.imported import DRAWN, IMPORTED, Confirmation, annotation_id
from octospoon.domain.labelling.tasks import Annotation, LabelState, Pick
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fakes.labelling import FakeLabels


@dataclass
class FakeImportedLabels:
    labels: FakeLabels

    def states(self, keys: Sequence[str]) -> dict[str, LabelState]:
        table = self.labels.pool.table
        return {
            key: self.labels.label_state(key) or LabelState(key, table[key].etag, table[key].state)
            for key in keys
            if key in table
        }

    def store(self, labels: Sequence[tuple[LabelState, str]]) -> set[str]:
        written = set()
        for before, label in labels:
            name = annotation_id(before.etag)
            stored = self.labels.stored.get((before.key, name))
            if stored is not None and stored.problem:
                continue
            try:
                self.labels.resolve_label(before, Consensus(label, 1.0, 0))
            except Conflict:
                continue
            at = f"{self.labels.pool.clock.now()}"
            self.labels.stored[before.key, name] = Annotation(
                before.key, before.etag, name, 0, at, IMPORTED, label, source=IMPORTED
            )
            written.add(before.key)
        return written

    def counting(self) -> Iterator[tuple[str, str]]:
        for key, row in self.labels.pool.table.items():
            if row.state is State.LABELLED and not row.annotators:
                yield key, row.etag

    def draw(self, pick: Pick, round_number: int, until: float) -> bool:
        row = self.labels.pool.table.get(pick.key)
        if row is None or row.state is not State.LABELLED or row.annotators or row.etag != pick.etag:
            return False
        name = annotation_id(row.etag)
        stored = self.labels.stored[pick.key, name]
        self.labels.stored[pick.key, name] = replace(stored, problem=DRAWN)
        row.counted_in = self.labels.control.change(-1, row.counted_in)
        row.state, row.pick, row.round_number = State.CLAIMED, pick, round_number
        row.label, row.agreement, row.annotators, row.labelled_at = None, 0.0, 0, None
        row.claim_until, row.revision = until, row.revision + 1
        return True

    def confirmations(self) -> Iterator[Confirmation]:
        for stored in self.labels.stored.values():
            if stored.problem == DRAWN:
                row = self.labels.pool.table.get(stored.key)
                same = row is not None and row.etag == stored.etag and row.annotators
                yield Confirmation(stored.key, stored.label or "", row.label if row and same else None)

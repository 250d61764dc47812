"""The mass removal that waits for a person: one item in the control table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.dynamodb.items import flag, integer, number, text
from octospoon.domain.labelling.removals import Proposal

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable
    from octospoon.adapters.dynamodb.items import Value

_ITEM = "removals"
_THIS = "attribute_not_exists(#proposal) OR (#proposal = :was AND #accepted = :was_accepted)"


class DynamoProposals:
    """Implements `octospoon.ports.reconciliation.Proposals`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def read(self) -> Proposal:
        """Return the newest proposal; an empty proposal if there is none."""
        item = self._table.read(_ITEM)
        return Proposal(
            id=text(item, "proposal"),
            project=text(item, "project"),
            walk=text(item, "walk"),
            labels=integer(item, "labels"),
            annotations=integer(item, "annotations"),
            examples=tuple(msgspec.json.decode(text(item, "examples", "[]"), type=list[str])),
            found_at=number(item, "found_at"),
            accepted=flag(item, "accepted"),
            applied=integer(item, "applied"),
        )

    def save(self, before: Proposal, proposal: Proposal) -> bool:
        """Replace `before`; return False if it has been replaced or accepted already."""
        values: dict[str, Value] = {
            "proposal": proposal.id,
            "project": proposal.project,
            "walk": proposal.walk,
            "labels": proposal.labels,
            "annotations": proposal.annotations,
            "examples": msgspec.json.encode(list(proposal.examples)).decode(),
            "found_at": proposal.found_at,
            "accepted": proposal.accepted,
            "applied": proposal.applied,
        }
        given: dict[str, Value] = {":was": before.id, ":was_accepted": before.accepted}
        return self._table.update(_ITEM, values, _THIS, given)

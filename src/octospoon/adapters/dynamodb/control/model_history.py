"""The control table's record of models: decisions, where the registry's alias was last seen, observations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.dynamodb.items import integer
from octospoon.domain.monitoring.observations import ModelDecision, Observation

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable

_FIRST_OR_LATER = "attribute_not_exists(#decided_at) OR #decided_at <= :decided_at"


class DynamoHistory:
    """Implements `octospoon.ports.models.ModelHistory`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def record(self, decision: ModelDecision) -> None:
        """Store the decision about a job's model; a restarted job replaces its earlier decision."""
        self._table.update(
            f"decision/{decision.job_id}",
            {"decided_at": decision.decided_at, "body": msgspec.json.encode(decision).decode()},
            _FIRST_OR_LATER,
            {":decided_at": decision.decided_at},
        )

    def decision(self, job_id: str) -> ModelDecision | None:
        """Return the decision about a job's model, or None before it."""
        item = self._table.read(f"decision/{job_id}")
        return msgspec.json.decode(item["body"]["S"], type=ModelDecision) if item else None

    def alias(self) -> int:
        """Return the last known version of the alias, -1 before the first."""
        return integer(self._table.read("alias"), "version", -1)

    def keep_alias(self, version: int) -> None:
        """Store the version that the alias names."""
        anything = "attribute_not_exists(#version) OR #version <> :version"
        self._table.update("alias", {"version": version}, anything, {":version": version})


class DynamoObservations:
    """Implements `octospoon.ports.models.Observations`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def read(self) -> Observation:
        """Return the newest observation."""
        item = self._table.read("watch")
        return msgspec.json.decode(item["body"]["S"], type=Observation) if item else Observation()

    def save(self, observation: Observation) -> None:
        """Store an observation unless a later one is stored."""
        self._table.update(
            "watch",
            {"observed_at": observation.observed_at, "body": msgspec.json.encode(observation).decode()},
            "attribute_not_exists(#observed_at) OR #observed_at <= :observed_at",
            {":observed_at": observation.observed_at},
        )

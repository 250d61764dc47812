"""Choose a labelling batch and hand it to the annotators, once, whatever happens in between."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.entities import Round, Task
from octospoon.domain.selection import choose, needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.entities import Pick, PoolRow
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.ports import Clock, ImageStore, Labeler, Pool, Rounds

LOG = logging.getLogger(__name__)
CLAIM_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class RankSettings:
    """What a user sets about labelling batches.

    Attributes:
        batch_size: images per round.
        audit_share: share of them drawn uniformly at random and never trained on, in [0, 1].
        strategy: name of the acquisition strategy.
        max_open_tasks: no new round while more tasks than this wait for an annotator.
    """

    batch_size: int
    audit_share: float
    strategy: str
    max_open_tasks: int


@dataclass(frozen=True, slots=True)
class RankReport:
    """What one run did: the round's number, the images it took over, and the tasks it created."""

    round_number: int
    picked: int
    created: int
    reason: str

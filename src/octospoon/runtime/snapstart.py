"""Lambda SnapStart: the slow part of a cold start happens once, before the snapshot, not at every restore."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from octospoon.domain.errors import OctospoonError

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger(__name__)


def prepare(before_snapshot: Callable[[], object], after_restore: Callable[[], None]) -> None:
    """Do the slow part now where this process is to become a snapshot; elsewhere, nothing.

    Args:
        before_snapshot: the slow part; where it fails, the first invocation does it again.
        after_restore: lets go of what does not outlive a snapshot, such as open connections.
    """
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    from snapshot_restore_py import register_after_restore  # part of Lambda's runtime

    register_after_restore(after_restore)
    try:
        before_snapshot()
    except OctospoonError:
        LOG.exception("the snapshot is made without a model")

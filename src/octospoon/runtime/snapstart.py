"""Lambda SnapStart: do the slow part of a cold start once, before the snapshot, not at every restore."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from octospoon.domain.errors import OctospoonError

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger(__name__)


def prepare(before_snapshot: Callable[[], object], after_restore: Callable[[], None]) -> None:
    """Do the slow part now if this process will become a snapshot; otherwise, do nothing.

    Args:
        before_snapshot: the slow part; if it fails, the first invocation does it again.
        after_restore: drops state that is not valid after a restore, such as open connections.
    """
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    from snapshot_restore_py import register_after_restore  # part of Lambda's runtime

    register_after_restore(after_restore)
    try:
        before_snapshot()
    except OctospoonError:
        LOG.exception("the snapshot is made without a model")

"""Downloaded model files, on the disk of a function."""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import gettempdir

from octospoon.runtime import aws

_MAX_AGE = 600
"""Seconds after which the file of a replaced model may go: no thread loads it any more."""


def model_folder() -> Path:
    """Return the folder of downloaded models; create it if it is missing."""
    folder = Path(gettempdir()) / "octospoon-models"
    folder.mkdir(exist_ok=True)
    return folder


def remove_old_models(current: Path) -> None:
    """Remove the files of replaced models: a function's disk is small and lives for hours."""
    for path in current.parent.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process on this machine may be quicker
            if path != current and path.stat().st_mtime < aws.CLOCK.now() - _MAX_AGE:
                path.unlink()

"""The error of the demo."""

from __future__ import annotations

from octospoon.domain.errors import OctospoonError


class DemoFailed(OctospoonError):
    """A step of the loop ended with a wrong result."""

"""The ways to build the training image."""

from __future__ import annotations

from enum import StrEnum


class Builder(StrEnum):
    """What builds the training image."""

    AUTO = "auto"
    DOCKER = "docker"
    CODEBUILD = "codebuild"

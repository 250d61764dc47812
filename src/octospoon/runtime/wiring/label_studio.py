"""The connection to Label Studio, for functions and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.api import LabelStudio, LabelStudioApi
from octospoon.adapters.label_studio.controls import control_of
from octospoon.runtime import aws
from octospoon.runtime.settings import LabelStudioSettings, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.task_types.task_type import TaskType


def label_studio_api(url: str, token_secret: str, read_secret: Callable[[str], str]) -> LabelStudioApi:
    """Return a connection to Label Studio.

    Args:
        url: of the server.
        token_secret: name of the secret that holds the token.
        read_secret: returns a secret by its name; called before every request, so that a new token is used.
    """
    return LabelStudioApi(url, lambda: read_secret(token_secret))


def labeler(task_type: TaskType) -> LabelStudio:
    """Wire the labelling project from the function's settings."""
    config = load(LabelStudioSettings)
    api = label_studio_api(config.label_studio_url, config.label_studio_token_secret, aws.secret)
    return LabelStudio(api, config.label_studio_project, control_of(task_type))

"""The model that a new local stack begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.operations.backbones import download_bar, of_new_stack, pull
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class FirstModel:
    """Makes the model file when it is first called, and returns the same file from then on.

    Args:
        name: of the backbone; empty for that of `of_new_stack`.
        tell: receives a line of text for a download, and for one that fails.
        parameters: of the template.
    """

    def __init__(self, name: str, tell: Callable[[str], None], parameters: Mapping[str, str]) -> None:
        self._name, self._tell, self._model = name, tell, b""
        self._task_type = parameters.get("TaskType", TaskTypeName.CLASSIFICATION)

    def __call__(self) -> bytes:
        """Return the model file; raises what `pull` and `of_new_stack` raise."""
        if not self._model:
            with download_bar() as watch:
                if self._name:
                    self._model = pull(self._name, self._tell, watch).model
                else:
                    self._model = of_new_stack(self._task_type, self._tell, watch)
        return self._model

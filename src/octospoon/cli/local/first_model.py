"""The model that a new local stack begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.operations.backbones import download_bar, photos_or_scattering, pull

if TYPE_CHECKING:
    from collections.abc import Callable


class FirstModel:
    """Makes the model file when it is first called, and returns the same file from then on.

    Args:
        name: of the backbone; empty for the best on photos, or scattering if that cannot be downloaded.
        tell: receives a line of text for a download, and for one that fails.
    """

    def __init__(self, name: str, tell: Callable[[str], None]) -> None:
        self._name, self._tell, self._model = name, tell, b""

    def __call__(self) -> bytes:
        """Return the model file; raises what `pull` raises for a backbone with a name."""
        if not self._model:
            with download_bar() as watch:
                if self._name:
                    self._model = pull(self._name, self._tell, watch).model
                else:
                    self._model = photos_or_scattering(self._tell, watch)
        return self._model

"""Which part of the images bucket a stack reads, from its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.pool.source import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octospoon.domain.pool.source import ImagesSource


def images_source(outputs: Mapping[str, str]) -> ImagesSource:
    """Return where the images of a stack come from; a stack without these outputs made its bucket."""
    return source_of(outputs.get("ImagesSource", ""), outputs.get("ImagesPrefixes", ""))

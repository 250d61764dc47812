"""The mosaics of a demo: images of several digits, of which a third shows digits of other writers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache, cached_property
from typing import TYPE_CHECKING

from octospoon.cli.datasets import mosaics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.cli.datasets.mosaics import Mosaic


class MosaicImages(ABC):
    """The images of a demo task whose labels are read from mosaics.

    Args:
        images: number of images in the pool; half as many are held out.
    """

    classes = mosaics.CLASSES

    def __init__(self, images: int) -> None:
        self._images = images

    @abstractmethod
    def label_of(self, mosaic: Mosaic) -> str:
        """Return the label of a mosaic in its stored form."""

    @property
    def pool(self) -> Sequence[str]:
        """The keys of the mosaics that are not held out."""
        return [f"mosaics/{index:04d}.png" for index in range(self._images)]

    def file(self, key: str) -> bytes:
        """Return a mosaic."""
        return _mosaic(_index(key)).png_bytes()

    def label(self, key: str) -> str:
        """Return what a mosaic shows."""
        return self.label_of(_mosaic(_index(key)))

    @cached_property
    def held_out(self) -> Sequence[bytes]:
        """The mosaics of digits that no other mosaic shows."""
        return [mosaic.png_bytes() for mosaic in self._held_out()]

    @cached_property
    def held_out_labels(self) -> Sequence[str]:
        """What these show."""
        return [self.label_of(mosaic) for mosaic in self._held_out()]

    def _held_out(self) -> list[Mosaic]:
        return [_mosaic(index, held_out=True) for index in range(self._images // 2)]


def _index(key: str) -> int:
    return int(key[-8:-4])


@cache
def _mosaic(index: int, *, held_out: bool = False) -> Mosaic:
    return mosaics.mosaic(index, held_out=held_out)

"""Compute a backbone's feature maps of all views of images once, because the backbone does not change."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import INPUT
from octospoon.training.detector.maps import FeatureMap, feature_maps, with_outputs
from octospoon.training.detector.views import augmented

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.training.detector.options import DetectorOptions

_BATCH = 4
"""Images at a time, which limits memory."""


@dataclass(frozen=True, slots=True)
class Features:
    """The feature maps of N images in V views, of which the first is the image itself.

    Attributes:
        maps: what the arrays hold.
        values: float16 [V, N, C, H / stride, W / stride] for each map, on disk.
        targets: for each view, the targets of each image, float64 [M, 5]: x1, y1, x2, y2 as shares of the
            view's sides, and the class.
        height: of the input in pixels.
        width: of the input in pixels.
    """

    maps: tuple[FeatureMap, ...]
    values: tuple[npt.NDArray[np.float16], ...]
    targets: tuple[tuple[npt.NDArray[np.float64], ...], ...]
    height: int
    width: int

    def batch(
        self, views: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
    ) -> tuple[list[npt.NDArray[np.float32]], list[npt.NDArray[np.float64]]]:
        """Return maps float32 [B, C, ., .] and targets of the views int64 [B] of the rows int64 [B]."""
        pairs = list(zip(views.tolist(), rows.tolist(), strict=True))
        read = [np.stack([values[pair] for pair in pairs]).astype(np.float32) for values in self.values]
        return read, [self.targets[view][row] for view, row in pairs]


def compute(
    backbone: bytes,
    pixels: npt.NDArray[np.uint8],
    targets: Sequence[npt.NDArray[np.float64]],
    options: DetectorOptions,
    folder: Path,
) -> Features:
    """Draw the views of images, by seed and position alone, and compute their maps on all cores.

    Args:
        backbone: the ONNX file.
        pixels: uint8 [N, H, W, 3], of the backbone's input size.
        targets: for each image float64 [M, 5]; see `Features`.
        options: the augmentation, and the number of views.
        folder: where the maps are written.

    Raises:
        BadRequest: the backbone has no feature maps.
        BadModel: it does not run, or its maps are not finite numbers of float16.
    """
    maps = feature_maps(backbone)
    session = open_session(with_outputs(backbone, [feature_map.tensor for feature_map in maps]))
    values = _stored(maps, (options.views, *pixels.shape[:3]), folder)
    drawn = [[*targets] for _ in range(options.views)]

    def fill(start: int) -> None:
        rows = range(start, min(start + _BATCH, len(pixels)))
        for view in range(options.views):
            images = np.array(pixels[start : rows.stop])
            for at, row in enumerate(rows if view else ()):
                rng = np.random.default_rng((options.seed, view, row))
                images[at], drawn[view][row] = augmented(images[at], targets[row], options, rng)
            outputs = run_session(session, [feature_map.tensor for feature_map in maps], {INPUT: images})
            for stored, output in zip(values, outputs, strict=True):
                stored[view, start : rows.stop] = _halved(output)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, range(0, len(pixels), _BATCH)))
    return Features(maps, values, tuple(map(tuple, drawn)), *pixels.shape[1:3])


def opened(features: Features, folder: Path) -> Features:
    """Return features with the maps that `compute` has written into a folder."""
    values = tuple(np.load(folder / _file(feature_map), mmap_mode="r") for feature_map in features.maps)
    return replace(features, values=values)


def _file(feature_map: FeatureMap) -> str:
    return f"maps-{feature_map.stride}.npy"


def _stored(
    maps: tuple[FeatureMap, ...], shape: tuple[int, int, int, int], folder: Path
) -> tuple[npt.NDArray[np.float16], ...]:
    """Return an array on disk for each map, for views and images of a shape V, N, H, W."""
    views, count, height, width = shape
    return tuple(
        np.lib.format.open_memmap(
            folder / _file(feature_map),
            "w+",
            np.float16,
            (views, count, feature_map.channels, height // feature_map.stride, width // feature_map.stride),
        )
        for feature_map in maps
    )


def _halved(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Return numbers as float16; raises BadModel if float16 cannot hold one of them."""
    if not np.abs(values).max(initial=0) <= np.finfo(np.float16).max:
        raise BadModel(
            "the backbone's feature maps have numbers that are not finite or above 65,504: use another one"
        )
    return values.astype(np.float16)

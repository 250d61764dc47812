"""Replay labelling rounds on images with known boxes, with the product's own selection and detector.

AP50 is always measured on held-out images, which are never labelled. The feature maps of all images are
computed once, because the backbone does not change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.acquisition import margin_diverse
from octospoon.domain.acquisition.strategy import Candidates
from octospoon.domain.batch.compose import CONTROL
from octospoon.domain.model_spec import BOXES, EMBEDDING, INPUT, SCORES
from octospoon.domain.pool.boxes import placed
from octospoon.domain.task_types.detection.evaluation import DetectionEvaluator
from octospoon.domain.task_types.detection.predictions import doubt
from octospoon.training.detector import features
from octospoon.training.detector.maps import opset_of
from octospoon.training.detector.trainer import RULES, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.pool.framing import Region
    from octospoon.training.detector.features import Features
    from octospoon.training.detector.options import DetectorOptions

WAYS = ("sum", "largest", "mean")
"""How the doubts about an image's detections become one; the stack uses the sum."""
_BATCH, _PREDICTED = 8, 16


@dataclass(frozen=True, slots=True)
class BoxImages:
    """N images with known boxes, as a detector reads them.

    Attributes:
        classes: C class names.
        maps: the feature maps of all images, in all views.
        embeddings: float32 [N, D].
        regions: the part of each image that the backbone's input shows.
        truth: float64 [N, M, 5], in shares of the images; see `DetectionEvaluator`.
        opset: of the backbone.
    """

    classes: tuple[str, ...]
    maps: Features
    embeddings: npt.NDArray[np.float32]
    regions: tuple[Region, ...]
    truth: npt.NDArray[np.float64]
    opset: int

    def boxes(self, rows: npt.NDArray[np.int64]) -> int:
        """Return how many boxes the images int64 [L] have."""
        return int((self.truth[rows, :, 4] >= 0).sum())

    def opened(self, folder: Path) -> BoxImages:
        """Return these images with the maps that another process has written into a folder."""
        return replace(self, maps=features.opened(self.maps, folder))

    def closed(self) -> BoxImages:
        """Return these images without their maps, which are too large to send to another process."""
        return replace(self, maps=replace(self.maps, values=()))


class Point(NamedTuple):
    """The detector after a round: the labelled images and boxes, and AP50 on the held-out images."""

    images: int
    boxes: int
    ap50: float


@dataclass(frozen=True, slots=True)
class Rounds:
    """The rounds of a replay.

    Attributes:
        stops: the number of labelled images after each round, ascending; the first round is random.
        further: numbers at which random images are measured too, so that they have as many boxes as others.
        audit_share: of each later round, drawn at random.
    """

    stops: tuple[int, ...]
    further: tuple[int, ...] = ()
    audit_share: float = 0.0

    def detectors(self, strategies: int) -> int:
        """Return how many detectors are trained for one seed."""
        return len(self.stops) + len(self.further) + strategies * (len(self.stops) - 1)


def prepare(
    backbone: bytes,
    pixels: npt.NDArray[np.uint8],
    regions: Sequence[Region],
    truth: npt.NDArray[np.float64],
    classes: tuple[str, ...],
    options: DetectorOptions,
    folder: Path,
) -> BoxImages:
    """Compute the maps and the embeddings of images.

    Args:
        backbone: the ONNX file.
        pixels: uint8 [N, H, W, 3], of the backbone's input size.
        regions: see `BoxImages`.
        truth: see `BoxImages`.
        classes: the class names.
        options: the augmentation, and the number of views.
        folder: where the maps are written.

    Raises:
        BadRequest: the backbone has no feature maps, or its operators are too old.
        BadModel: it does not run.
    """
    opset = opset_of(backbone)
    targets = [shown(boxes, region) for boxes, region in zip(truth, regions, strict=True)]
    maps = features.compute(backbone, pixels, targets, options, folder)
    session = open_session(backbone)
    embeddings = [
        run_session(session, [EMBEDDING], {INPUT: np.array(pixels[i : i + _BATCH])})[0]
        for i in range(0, len(pixels), _BATCH)
    ]
    return BoxImages(classes, maps, np.concatenate(embeddings), tuple(regions), truth, opset)


@dataclass(frozen=True, slots=True)
class Replay:
    """The replay of one seed.

    Attributes:
        images: the images.
        order: int64 [P], the images that can be labelled, in the order in which random images are drawn.
        held_out: int64 [T], other images.
        rounds: how many images are labelled.
        options: the settings of training.
        seed: fixes every random choice beside the order.
        done: is called after each detector.
    """

    images: BoxImages
    order: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]
    rounds: Rounds
    options: DetectorOptions
    seed: int
    done: Callable[[], None]

    def curves(self, strategies: Sequence[str]) -> dict[str, list[Point]]:
        """Return a point for each round, for random images and for each of some of `WAYS`.

        All have the first round in common.
        """
        first, *stops = self.rounds.stops
        head, start = self._measured(self.order[:first])
        counts = (*stops, *self.rounds.further)
        curves = {CONTROL: [start, *(self._measured(self.order[:count])[1] for count in counts)]}
        for way in strategies:
            labelled, current, points = self.order[:first], head, [start]
            for count in stops:
                labelled = np.concatenate([labelled, self._chosen(way, current, labelled, count)])
                current, point = self._measured(labelled)
                points.append(point)
            curves[way] = points
        return curves

    def _measured(self, labelled: npt.NDArray[np.int64]) -> tuple[bytes, Point]:
        """Train a detector on labelled images, a fifth of them for early stopping; return head and point."""
        import torch

        from octospoon.training.detector.export import head_file
        from octospoon.training.detector.loop import train

        shuffled = np.random.default_rng(self.seed).permutation(labelled)
        apart, maps = len(shuffled) // 5, self.images.maps
        options = msgspec.structs.replace(self.options, seed=self.seed)
        classes = len(self.images.classes)
        course = train(maps, shuffled[apart:], shuffled[:apart], classes, options, torch.device("cpu"))
        head = head_file(course.detector, maps.maps, RULES, self.images.opset)
        predicted = predictions(maps, head, self.held_out)
        for row, at in zip(predicted, self.held_out.tolist(), strict=True):
            row[:] = placed(row, self.images.regions[at])
        ap50 = DetectionEvaluator().metric(predicted, self.images.truth[self.held_out])
        self.done()
        return head, Point(len(labelled), self.images.boxes(labelled), ap50)

    def _chosen(
        self, way: str, head: bytes, labelled: npt.NDArray[np.int64], count: int
    ) -> npt.NDArray[np.int64]:
        """Choose images up to a number of labels by margin_diverse, after the audit share."""
        size, seed = count - len(labelled), f"{self.seed} {len(labelled)}"
        waiting = self.order[~np.isin(self.order, labelled)]
        audit, rest = np.split(waiting, [round(self.rounds.audit_share * size)])
        rest = np.sort(rest)
        predicted = predictions(self.images.maps, head, rest)
        total, mean, largest = doubt(predicted)
        score = {"sum": total, "mean": mean, "largest": largest}[way]
        fails = 0.5 * score / (1 + score)  # as `predictions.outcomes` does it with the sum
        pool = Candidates(
            [f"{row:06d}" for row in rest.tolist()],
            predicted,
            self.images.embeddings[rest],
            outcomes=np.column_stack([1 - fails, fails]),
        )
        return np.concatenate([audit, rest[margin_diverse.select(pool, size - len(audit), seed)]])


def predictions(maps: Features, head: bytes, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return what a detector predicts from stored feature maps.

    Args:
        maps: of N images.
        head: the ONNX file of the detector without its backbone; see `head_file`.
        rows: int64 [M], which images.

    Returns:
        float32 [M, K, 4 + C], in shares of the input's sides.
    """
    session, parts = open_session(head), []
    for start in range(0, len(rows), _PREDICTED):
        part = rows[start : start + _PREDICTED]
        read, _ = maps.batch(np.zeros_like(part), part)
        feed = {feature_map.tensor: values for feature_map, values in zip(maps.maps, read, strict=True)}
        parts.append(np.concatenate(run_session(session, [BOXES, SCORES], feed), axis=2))
    return np.concatenate(parts)

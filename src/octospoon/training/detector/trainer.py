"""Train a detector on the labelled images, as a `Trainer`. The backbone and all stored embeddings stay."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.evaluation.training_record import EVERY_HEAD, TrainingRecord
from octospoon.domain.model_spec import BOXES, INPUT, SCORES
from octospoon.domain.pool.boxes import placed
from octospoon.domain.pool.framing import in_input
from octospoon.domain.task_types.detection.evaluation import DetectionEvaluator
from octospoon.domain.training.jobs import TrainedModel
from octospoon.training.data import pictures
from octospoon.training.detector import features
from octospoon.training.detector.maps import check_backbone, opset_of, with_outputs
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.views import visible
from octospoon.training.finetune.trainer import check_installed
from octospoon.training.graph.suppression import Rules
from octospoon.training.head.fit import fold_of
from octospoon.training.head.trainer import KEPT_OUT, for_training
from octospoon.training.model import detector_file, model_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import torch

    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.pool.framing import Region
    from octospoon.ports.images import ImageStore
    from octospoon.training.data.dataset import Dataset
    from octospoon.training.data.pictures import Read
    from octospoon.training.detector.features import Features
    from octospoon.training.detector.loop import Course
    from octospoon.training.detector.maps import FeatureMap
    from octospoon.training.detector.network import Detector

PARITY = 1e-4
"""Largest difference of a score, or of an edge as a share of the input's side, between PyTorch and ONNX."""
LEAST_LABELS = 10
RULES = Rules()
_COMPARED = 8
_BATCH = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DetectorTrainer:
    """Implements `octospoon.training.head.trainer.Trainer`.

    Attributes:
        images: the store of the labelled images.
        options: the settings of training.
        device: ``cuda`` demands a GPU, ``cpu`` uses none, and ``auto`` uses one if it is visible.
        threads: of the processor; another number may give other bytes.
        until: `time.monotonic` by which the job must have ended; training ends early for its sake.
    """

    images: ImageStore
    options: DetectorOptions = field(default_factory=DetectorOptions)
    device: str = "auto"
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    until: float = math.inf

    def __call__(self, backbone: bytes, dataset: Dataset, spec: ModelSpec) -> TrainedModel:
        """Train on the readable images and hold out a fifth of them for early stopping. See `Trainer`.

        The audit share is kept out, because training is too expensive to repeat for each fold. The targets
        are float64 [N, M, 5]; see `DetectionEvaluator`.

        Raises:
            NotConfigured: PyTorch or torchvision is not installed, or a GPU is demanded and none is visible.
            BadRequest: there are too few labels, or the backbone has no feature maps.
            BadModel: training diverged, or PyTorch and onnxruntime compute different boxes.
        """
        check_installed("torch", "torchvision")
        check_backbone(backbone := detector_file.features_of(backbone))  # before the work, not after it
        began = time.monotonic()
        from octospoon.training.finetune import device

        apart, chosen = dataset.part(audit=False), device.chosen(self.device)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            read = pictures.read(apart.images, self.images, spec, folder)
            labels = apart.labels.astype(np.float64)
            targets = [shown(label, region) for label, region in zip(labels, read.regions, strict=True)]
            learned, held_out = _parts(labels, targets, read.readable, self.options.seed)
            computed = features.compute(backbone, read.pixels, targets, self.options, folder)
            options = self._in_time(time.monotonic() - began)
            course, params = self._course(computed, (learned, held_out), len(spec.classes), options, chosen)
            model = assembled(backbone, course.detector, computed.maps, spec)
            gap = parity_gap(model, course.detector, computed.maps, read.pixels[held_out[:_COMPARED]])
            predicted = _predicted(model, read, held_out)
        ap50 = DetectionEvaluator().metric(predicted, labels[held_out])
        seen = np.sort(np.concatenate([learned, held_out]))
        return TrainedModel(
            model=model,
            head=b"",
            held_out=_of_all_rows(predicted, held_out, dataset),
            record=_record(apart.numbers()[seen], dataset, spec),
            metrics=_measures(course) | {"held_out_ap50": ap50, "torch_parity_gap": gap},
            params=self._params() | params,
            epochs=course.epochs,
        )

    def _params(self) -> dict[str, str]:
        own = {"trainer": "detector", "audit_labels": KEPT_OUT, "backbone_kept": "a detector reads its maps"}
        return own | self.options.params()

    def _in_time(self, preparation: float) -> DetectorOptions:
        """Return the options with fewer minutes if the job would not end in time.

        Evaluation reads fewer images than the preparation of training did, and no other views of them.
        """
        minutes = for_training(self.until - time.monotonic(), preparation) / 60
        return msgspec.structs.replace(self.options, minutes=min(self.options.minutes, minutes))

    def _course(
        self,
        computed: Features,
        parts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
        classes: int,
        options: DetectorOptions,
        chosen: torch.device,
    ) -> tuple[Course, dict[str, str]]:
        """Return the trained detector and parameters about its training.

        `parts` are the rows to train on, and the rows to hold out.
        """
        import torch

        from octospoon.training.detector.loop import train
        from octospoon.training.finetune import device, loop

        with loop.reproducible(chosen, self.threads) as uncertain:
            course = train(computed, *parts, classes, options, chosen)
        # a GPU may round numbers outside of the block above, and what follows is compared with onnxruntime
        course.detector.place(torch.device("cpu"))
        _log.info("training ended: %s; the best check was number %d", course.ended, course.best)
        unsure = [*uncertain, *(["the time limit"] if course.timed else [])]
        return course, {
            "device": device.described(chosen),
            "training_ended": course.ended,
            "reproducible": f"no: {', '.join(unsure)}" if unsure else "yes",
        }


def assembled(backbone: bytes, detector: Detector, maps: Sequence[FeatureMap], spec: ModelSpec) -> bytes:
    """Return the model file of the contract ``octospoon/2``.

    Raises:
        BadRequest: the backbone's operators are older than the suppression of boxes needs.
    """
    from octospoon.training.detector.export import head_file

    head = head_file(detector, maps, RULES, opset_of(backbone))
    named = replace(spec, backbone=model_file.sha256(backbone), boxes=RULES.most)
    return model_file.assemble(backbone, head, named)


def _measures(course: Course) -> dict[str, float]:
    loss = course.epochs[course.best - 1]["epoch_held_out_loss"]
    return {"held_out_loss": loss, "best_check": float(course.best)}


def _record(seen: npt.NDArray[np.uint64], dataset: Dataset, spec: ModelSpec) -> TrainingRecord:
    """Return the record of a detector that saw the images of these numbers, and no audit image."""
    folds = np.full(len(seen), EVERY_HEAD, np.int64)
    return TrainingRecord.of(seen, folds, {}, (spec.dim, len(spec.classes)), dataset.tuned)


def _of_all_rows(
    predicted: npt.NDArray[np.float64], held_out: npt.NDArray[np.int64], dataset: Dataset
) -> npt.NDArray[np.float64]:
    """Return predictions in the rows of the dataset, NaN for others than the held-out ones.

    `held_out` are rows of its part outside the audit share.
    """
    result = np.full((len(dataset), *predicted.shape[1:]), np.nan)
    result[np.flatnonzero([not image.audit for image in dataset.images])[held_out]] = predicted
    return result


def parity_gap(
    model: bytes, detector: Detector, maps: Sequence[FeatureMap], pixels: npt.NDArray[np.uint8]
) -> float:
    """Return the largest difference between PyTorch and onnxruntime before suppression, on real images.

    What the suppression drops has no effect: edges count as cut off, and scores as no less than its floor.
    Near zero, scores are roots of sigmoids, which onnxruntime rounds to zero.

    Args:
        model: the model file.
        detector: what it was made from, on the processor.
        maps: the feature maps that the detector reads.
        pixels: uint8 [N, H, W, 3], N >= 1.

    Raises:
        BadModel: the difference is above PARITY.
    """
    import torch

    from octospoon.training.detector.export import RAW_BOXES, RAW_SCORES

    names = [*(feature_map.tensor for feature_map in maps), RAW_BOXES, RAW_SCORES]
    opened = open_session(with_outputs(model, names))
    *read, boxes, scores = run_session(opened, names, {INPUT: np.asarray(pixels)})
    with torch.no_grad():
        ours = detector([torch.from_numpy(values) for values in read])
    gaps = [
        float(np.abs(own.numpy().clip(least, 1) - served.clip(least, 1)).max())
        for own, served, least in zip(ours, (boxes, scores), (0.0, RULES.floor), strict=True)
    ]
    if not max(gaps) <= PARITY:
        raise BadModel(
            f"boxes and scores of PyTorch and onnxruntime differ by {max(gaps):.1e}, the limit is "
            f"{PARITY:.0e}: use another backbone"
        )
    return max(gaps)


def shown(targets: npt.NDArray[np.float64], region: Region) -> npt.NDArray[np.float64]:
    """Return the boxes that a model's input shows, float64 [L, 5] in shares of it, without padding.

    Args:
        targets: float64 [M, 5] of an image, in shares of it; see `DetectionEvaluator`.
        region: the part of the image that the input shows.
    """
    boxes = targets[targets[:, 4] >= 0]
    boxes[:, :4] = in_input(boxes[:, :4], region)
    return visible(boxes)


def _parts(
    labels: npt.NDArray[np.float64],
    targets: Sequence[npt.NDArray[np.float64]],
    readable: npt.NDArray[np.bool_],
    seed: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows to train on and a fifth to hold out, of every rarest class of an image in proportion.

    Raises:
        BadRequest: they are too few, or no box is among those to train on.
    """
    rows = np.flatnonzero(readable)
    if len(rows) < LEAST_LABELS:
        raise BadRequest(
            f"{len(rows)} labelled images can be read beside the audit share, which is kept out of training. "
            f"A detector needs at least {LEAST_LABELS}: label more images"
        )
    away = fold_of(DetectionEvaluator().strata(labels[rows]), seed) == 0
    learned, held_out = rows[~away], rows[away]
    if not any(len(targets[row]) for row in learned):
        raise BadRequest(
            f"none of the {len(learned)} images to train on has a box that the model's input shows: label "
            "images with objects"
        )
    return learned, held_out


def _predicted(model: bytes, read: Read, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return predictions of the model file, float64 [M, K, 4 + C], in shares of the uploads."""
    opened, predicted = open_session(model), []
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        made = run_session(opened, [BOXES, SCORES], {INPUT: np.array(read.pixels[part])})
        for boxes, row in zip(np.concatenate(made, axis=2), part.tolist(), strict=True):
            predicted.append(placed(boxes, read.regions[row]))
    return np.stack(predicted).astype(np.float64)

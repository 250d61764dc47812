"""Give the model of a program a calibrated head: its own, or a new one for an embedding."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation.training_record import EVERY_HEAD, TrainingRecord, image_numbers
from octospoon.domain.model_spec import SIGMOID
from octospoon.training.data import pictures
from octospoon.training.data.dataset import as_stored
from octospoon.training.graph.parts import widths
from octospoon.training.head.calibration import TYPICAL_SCALE
from octospoon.training.head.fit import fit_head
from octospoon.training.head.links import LINKS
from octospoon.training.model import model_file

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.ports.images import ImageStore
    from octospoon.training.data.dataset import Dataset
    from octospoon.training.model.check_import import Imported

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Parts:
    """The labelled images that a program gets.

    Attributes:
        dataset: N images, without the audit share.
        classes: the class names, in the order of the dataset's labels.
        training: bool [N], the part for training.
        validation: bool [N], the part for validation. The rest could not be read.
        before: uint64 [B], numbers of the images that the model was trained on with which a program begins.
    """

    dataset: Dataset
    classes: tuple[str, ...]
    training: npt.NDArray[np.bool_]
    validation: npt.NDArray[np.bool_]
    before: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))

    def for_training(self) -> Dataset:
        """Return the part for training."""
        rows = np.flatnonzero(self.training)
        return self.dataset.only({self.dataset.images[i].key for i in rows.tolist()})

    def record(self, shape: tuple[int, int], activation: str, *, same_backbone: bool) -> TrainingRecord:
        """Return the record of a model that learned from both parts.

        Args:
            shape: of the head's weights.
            activation: of the head.
            same_backbone: whether its backbone is the one in service, which learned nothing new.
        """
        rows = np.flatnonzero(self.training | self.validation).tolist()
        seen = image_numbers((self.dataset.images[i].key, self.dataset.images[i].etag) for i in rows)
        # the program may have kept what the model before had learned
        tuned = np.concatenate([self.dataset.tuned, np.setdiff1d(self.before, seen)])
        if not same_backbone:
            tuned = np.concatenate([tuned, seen])
        return TrainingRecord.of(seen, np.full(len(seen), EVERY_HEAD, np.int64), {}, shape, tuned, activation)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibrated head.

    Attributes:
        weights: float32 [D, C].
        bias: float32 [C].
        rows: int64 [M], the images of the part for validation.
        probabilities: float64 [M, C], for these images, from a head that was not trained on them.
        params: how the head was made, as parameters of a run.
    """

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    params: dict[str, str]


def calibrated(
    imported: Imported, parts: Parts, store: ImageStore, activation: str, *, balanced: bool
) -> Calibrated:
    """Return the head of a model.

    The logits of the program's own head are divided by the temperature that fits the part for validation best
    (Guo et al. 2017, arXiv 1706.04599), so its answers stay. Without a head, one is fitted on the embedding.

    Args:
        imported: the model, with the classes of the project in their order.
        parts: the images that the program got.
        store: the store of the images.
        activation: of the head, one of `octospoon.domain.model_spec.ACTIVATIONS`.
        balanced: weight classes by the inverse of their frequency, for a new head.

    Raises:
        BadModel: the model fails, or the images cannot be read any more.
    """
    chosen = parts.validation if imported.head else parts.training | parts.validation
    rows, embeddings = _embeddings(imported, parts.dataset, np.flatnonzero(chosen), store)
    if not parts.validation[rows].any():
        raise BadModel("the labelled images cannot be read any more")
    if imported.head is None:
        return _new(imported, parts, rows, embeddings, activation, balanced=balanced)
    weights, bias = model_file.extract_head(imported.model)
    logits = embeddings.astype(np.float64) @ weights + bias
    count = int((parts.training | parts.validation).sum())
    heat = _temperature(logits, parts.dataset.labels[rows], activation, count)
    params = {"head": "the program's own", "temperature": f"{heat:.4g}"}
    scaled = (weights / heat).astype(np.float32), (bias / heat).astype(np.float32)
    return Calibrated(*scaled, rows, LINKS[activation].probabilities(logits / heat), params)


def _temperature(
    logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], activation: str, count: int
) -> float:
    """Return the temperature that minimises the log loss, with a weak prior about 1.

    Args:
        logits: float64 [M, C].
        labels: targets of these images; see `Evaluator.targets`.
        activation: of the head.
        count: the number of labels of the whole training.
    """
    # a head is fitted as a scale of predictions: these predictions have TYPICAL_SCALE if nothing is to change
    predictions, targets = logits / TYPICAL_SCALE, labels.astype(np.float64)
    if activation == SIGMOID:
        predictions = (1 + predictions) / 2  # the logit of a class is scale · (2 · prediction - 1)
    else:
        targets = np.eye(logits.shape[1])[labels]
    link = LINKS[activation]
    smoothed = link.smoothed(targets, np.ones(len(targets)), count)
    scales, _ = link.scales(predictions[np.newaxis], smoothed, count)
    return float(TYPICAL_SCALE / scales[0])


def _new(
    imported: Imported,
    parts: Parts,
    rows: npt.NDArray[np.int64],
    embeddings: npt.NDArray[np.float32],
    activation: str,
    *,
    balanced: bool,
) -> Calibrated:
    unseen = parts.validation[rows]
    fitted = fit_head(
        embeddings,
        parts.dataset.labels[rows],
        len(parts.classes),
        activation=activation,
        parts=widths(imported.model),
        balanced=balanced,
        unseen=unseen,
    )
    known = unseen & np.isfinite(fitted.out_of_fold).all(axis=1)
    params = {"head": "fitted on the program's embedding"} | fitted.params()
    return Calibrated(fitted.weights, fitted.bias, rows[known], fitted.out_of_fold[known], params)


def _embeddings(
    imported: Imported, dataset: Dataset, rows: npt.NDArray[np.int64], store: ImageStore
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return those of the rows that can be read, int64 [M], and their embeddings, float32 [M, D]."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(imported.model)
        scorer = OnnxScorer(path)
        chosen = [dataset.images[i] for i in rows.tolist()]
        pixels, readable, _ = pictures.read(chosen, store, imported.spec, Path(folder))
        kept = np.flatnonzero(readable)
        parts = [scorer.run(pixels[kept[start : start + _BATCH]])[0] for start in range(0, len(kept), _BATCH)]
    return rows[kept], as_stored(np.concatenate(parts)) if parts else np.empty(
        (0, imported.spec.dim), np.float32
    )

"""Results of the trainer, or of the scoring function, for a folder of images, in its own environment.

    python parity.py trainer|scorer MODEL FOLDER

Writes JSON to standard output: file name -> [sha256 of the tensor that the model got, embedding in hex].
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.pool.images import ImageBytes, ImageRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from octospoon.domain.pool.framing import Region
    from octospoon.domain.pool.images import KnownScore, Prediction, ScoredImage

FOLDER = Path(sys.argv[3])
NAMES = sorted(path.name for path in FOLDER.iterdir())


class Watched(OnnxScorer):
    """Keeps the tensor behind each embedding."""

    def __init__(self, path: Path) -> None:
        self.seen: dict[bytes, str] = {}
        super().__init__(path)

    def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
        predictions = super().predict(images, regions)
        for image, prediction in zip(images, predictions, strict=True):
            self.seen[stored(prediction.embedding)] = hashlib.sha256(image.tobytes()).hexdigest()
        return predictions


class Folder:
    """The images bucket."""

    def read(self, key: str) -> ImageBytes:
        return ImageBytes((FOLDER / key).read_bytes(), "etag")


class Rows:
    """The pool: takes scores."""

    def __init__(self) -> None:
        self.embeddings: dict[str, bytes] = {}

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        self.embeddings[image.key] = stored(prediction.embedding)
        return True

    @staticmethod
    def scored(keys: Sequence[str]) -> dict[str, KnownScore]:
        return {}

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        return {row.image.key for row in scored if self.put_score(row.image, row.prediction)}


def stored(embedding: np.ndarray) -> bytes:
    """Return the values as the pool table stores them."""
    return embedding.astype("<f2").tobytes()


def trainer(scorer: Watched) -> dict[str, bytes]:
    from octospoon.domain.task_types.classification import CLASSIFICATION
    from octospoon.training.data.dataset import gather

    snapshot = [LabelledImage(name, "etag", "a", 1.0, 1, False, "", None, 0) for name in NAMES]
    data = gather(snapshot, ["a", "b"], CLASSIFICATION, {}, Folder(), scorer)
    assert len(data) == len(NAMES), data.dropped
    return {image.key: stored(row) for image, row in zip(data.images, data.embeddings, strict=True)}


def score_function(scorer: Watched) -> dict[str, bytes]:
    from octospoon.usecases.score import ScoreUploads

    pool = Rows()
    score = ScoreUploads(Folder(), pool, lambda: scorer, resolve_label=lambda _: None, workers=2)
    outcomes = score([ImageRef(name, "etag", "1", 1) for name in NAMES])
    assert set(outcomes) == {"scored"}, outcomes
    return pool.embeddings


watched = Watched(Path(sys.argv[2]))
rows = {"trainer": trainer, "scorer": score_function}[sys.argv[1]](watched)
print(json.dumps({name: [watched.seen[rows[name]], rows[name].hex()] for name in NAMES}))

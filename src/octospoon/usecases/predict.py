"""Predict on demand: an image that a caller sent, or images of the bucket."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadImage, ServiceUnavailable
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.usecases.champion import NO_MODEL
from octospoon.usecases.scoring.predict_image import predict_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.task_types.task_type import Predicted, TaskType
    from octospoon.ports.images import ImageStore, Inbox
    from octospoon.ports.models import Champions, Scorer
    from octospoon.ports.pool import BlindImages

LOG = logging.getLogger(__name__)
SPARE_SECONDS = 5.0
"""No image is begun with less time left: it must be read and predicted, and the answer sent."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """The prediction of the model in service for one image.

    Attributes:
        model_version: of the model.
        classes: C class names; none from a cold-start model, which only embeds.
        probabilities: C shares in the order of the classes, to six digits; none from a detector.
        predicted: the label that the prediction means; None without classes.
        key: object key under which the image was added to the pool; empty if it was not added.
    """

    model_version: int
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    predicted: Predicted | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class PredictImages:
    """The use case.

    Attributes:
        images: reads images of the bucket.
        inbox: takes images that are added to the pool.
        model: gives the model in service.
        task_type: the kind of label.
        blind: knows the images that annotators label without seeing a prediction.
        history: returns the project's classes; answers name these.
    """

    images: ImageStore
    inbox: Inbox
    model: Callable[[], Scorer]
    task_type: TaskType
    blind: BlindImages
    history: Callable[[], ClassHistory] = ClassHistory

    def image(self, data: bytes, seconds_left: Callable[[], float], *, add: bool = False) -> Answer:
        """Predict one image.

        Args:
            data: the file's bytes.
            seconds_left: until this process is stopped.
            add: add the image to the pool; an image that cannot be scored is never added.

        Raises:
            BadImage: the image cannot be scored; the error has the reason.
            BadModel: the model in service fails on any image.
            ServiceUnavailable: there is no model yet, or no time left.
        """
        scorer = self.model()
        if seconds_left() < SPARE_SECONDS:
            raise ServiceUnavailable("no time left for this image: ask again")
        prediction = predict_image(scorer, scorer.preprocess(data))
        given = prediction.probabilities
        translated = self.task_type.translation(self.history(), scorer.spec.classes)
        names, shares, predicted = translated.names, (), None
        if given is not None and names:
            exact = translated(given[np.newaxis])
            if exact.ndim == 2:
                shares = tuple(round(share, _DIGITS) for share in exact[0].astype(np.float64).tolist())
                exact = np.array([shares])
            (predicted,) = self.task_type.predicted(exact, names)
        key = self.inbox.add(data) if add else ""
        return Answer(prediction.model_version, names, shares, predicted, key)

    def stored(self, key: str, seconds_left: Callable[[], float]) -> Answer:
        """Predict one image of the bucket; raises as `image`, and BadImage with ``gone``."""
        return self.image(self.images.read(key).data, seconds_left)

    def for_annotators(self, keys: Sequence[str], seconds_left: Callable[[], float]) -> list[Answer | None]:
        """Predict images of the bucket for annotators; return one answer each, in order.

        Args:
            keys: object keys; an empty key stands for an image that is not in the bucket.
            seconds_left: until this process is stopped.

        Returns:
            None for an image that is not in the bucket, is labelled without seeing a prediction, cannot be
            scored, or was not begun in time.

        Raises:
            BadModel: the model in service fails on any image.
            ServiceUnavailable: there is no model yet, or AWS does not answer.
        """
        self.model()  # raises if there is none
        blind = self.blind.among([key for key in keys if key])
        answers: list[Answer | None] = []
        for key in keys:
            if seconds_left() < SPARE_SECONDS:
                LOG.warning(
                    "no time for %d of %d images: ask for them again", len(keys) - len(answers), len(keys)
                )
                break
            answers.append(self._known(key, seconds_left) if key and key not in blind else None)
        return answers + [None] * (len(keys) - len(answers))

    def _known(self, key: str, seconds_left: Callable[[], float]) -> Answer | None:
        try:
            return self.stored(key, seconds_left)
        except BadImage as bad:
            LOG.warning("no prediction for %s: %s", key, bad)
            return None


def version_in_service(champions: Champions) -> int:
    """Return the version that the champion pointer names, without loading its model.

    Raises:
        ServiceUnavailable: there is no pointer yet.
    """
    current = champions.pointer()
    if current is None:
        raise ServiceUnavailable(NO_MODEL)
    return current[0].version

"""Predict now: a picture that somebody sent, or pictures of the bucket."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadImage, ServiceUnavailable
from octospoon.usecases.champion import NO_MODEL
from octospoon.usecases.scoring.predict_image import predict_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.ports.images import ImageStore, Inbox
    from octospoon.ports.models import Champions, Scorer
    from octospoon.ports.pool import BlindImages

LOG = logging.getLogger(__name__)
SPARE_SECONDS = 5.0
"""No picture is begun with less time left: it must be read, predicted and answered for."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model in service says of one picture.

    Attributes:
        model_version: version of the model that said it.
        classes: class names, C of them; none from a cold-start model, which only embeds.
        probabilities: C shares in the order of the classes, to six digits.
        key: object key under which the picture joins the pool; empty where that was not asked for.
    """

    model_version: int
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    key: str = ""

    @property
    def label(self) -> str:
        """The most probable class, the first of equals; only where there are classes."""
        return self.classes[self.probabilities.index(self.confidence)]

    @property
    def confidence(self) -> float:
        """Its probability; only where there are classes."""
        return max(self.probabilities)


@dataclass(frozen=True, slots=True)
class PredictImages:
    """The use case.

    Attributes:
        images: where the pictures of the bucket are.
        inbox: where a picture goes that is to join the pool.
        model: gives the model that predicts now.
        blind: knows the images that annotators label without a prediction.
    """

    images: ImageStore
    inbox: Inbox
    model: Callable[[], Scorer]
    blind: BlindImages

    def picture(self, data: bytes, seconds_left: Callable[[], float], *, add: bool = False) -> Answer:
        """Predict one picture.

        Args:
            data: the file's bytes.
            seconds_left: until this process is stopped.
            add: let the picture join the pool; one that cannot be scored never does.

        Raises:
            BadImage: with the reason.
            BadModel: the model in service fails on any picture.
            ServiceUnavailable: there is no model yet, or no time left.
        """
        scorer = self.model()
        if seconds_left() < SPARE_SECONDS:
            raise ServiceUnavailable("no time left for this picture: ask again")
        said = predict_image(scorer, scorer.preprocess(data))
        shares = () if said.probabilities is None else said.probabilities.astype(np.float64).tolist()
        return Answer(
            said.model_version,
            scorer.spec.classes,
            tuple(round(share, _DIGITS) for share in shares),
            self.inbox.add(data) if add else "",
        )

    def stored(self, key: str, seconds_left: Callable[[], float]) -> Answer:
        """Predict one picture of the bucket; raises as `picture`, and BadImage with ``gone``."""
        return self.picture(self.images.read(key).data, seconds_left)

    def each(self, keys: Sequence[str], seconds_left: Callable[[], float]) -> list[Answer | None]:
        """Predict many pictures of the bucket for annotators: one answer each, in order.

        Args:
            keys: object keys; an empty one stands for a picture of somewhere else.
            seconds_left: until this process is stopped.

        Returns:
            None for what is not in the bucket, is to be labelled without a prediction, cannot be scored, or
            was not begun in time.

        Raises:
            BadModel: the model in service fails on any picture.
            ServiceUnavailable: there is no model yet, or AWS does not answer.
        """
        self.model()  # where there is none, that is the answer
        blind = self.blind.among([key for key in keys if key])
        answers: list[Answer | None] = []
        for key in keys:
            if seconds_left() < SPARE_SECONDS:
                LOG.warning(
                    "no time for %d of %d pictures: ask for them again", len(keys) - len(answers), len(keys)
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
        ServiceUnavailable: there is none yet.
    """
    found = champions.pointer()
    if found is None:
        raise ServiceUnavailable(NO_MODEL)
    return found[0].version

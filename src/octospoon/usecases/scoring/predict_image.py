"""Predict one image, and tell a bad image from a bad model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadImage, BadModel

if TYPE_CHECKING:
    from octospoon.domain.pool.framing import Framed
    from octospoon.domain.pool.images import Prediction
    from octospoon.ports.models import Scorer


def predict_image(scorer: Scorer, image: Framed) -> Prediction:
    """Predict one image; if that fails, find out whether the image or the model is the cause.

    Args:
        scorer: the model.
        image: in the form that the model takes.

    Raises:
        BadImage: reason ``model-output``: this image fails twice, and a blank one does not.
        BadModel: the model fails on any image.
    """
    pixels, regions = image.pixels[np.newaxis], [image.region]
    try:
        return scorer.predict(pixels, regions)[0]
    except BadModel:
        scorer.predict(np.zeros_like(pixels), regions)
    try:
        return scorer.predict(pixels, regions)[0]
    except BadModel as error:
        raise BadImage("model-output", str(error)) from error

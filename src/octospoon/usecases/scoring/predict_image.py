"""Predict one image, and tell a bad image from a bad model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadImage, BadModel

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.pool.images import Prediction
    from octospoon.ports.models import Scorer


def predict_image(scorer: Scorer, pixels: npt.NDArray[np.uint8]) -> Prediction:
    """Predict one image; if that fails, find out whether the image or the model is the cause.

    Args:
        scorer: the model.
        pixels: uint8 [H, W, 3].

    Raises:
        BadImage: reason ``model-output``: this image fails twice, and a blank one does not.
        BadModel: the model fails on any image.
    """
    try:
        return scorer.predict(pixels[np.newaxis])[0]
    except BadModel:
        scorer.predict(np.zeros_like(pixels)[np.newaxis])
    try:
        return scorer.predict(pixels[np.newaxis])[0]
    except BadModel as error:
        raise BadImage("model-output", str(error)) from error

"""Choose the labelled images that a program validates on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.keys import unit_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import LabelledImage

SHARE = 0.2
_SALT = "trainer-validation"  # never to change: an image must not move from one part to the other


def validation(images: Sequence[LabelledImage], strata: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which images are for validation, bool [N], about SHARE of them.

    A hash of the key decides. So an image stays in its part in all jobs, and a model that learns from the one
    in service was never trained on the images that validate it. There are two exceptions: a class keeps an
    image for training, and the part for validation is not empty.

    Args:
        images: N labelled images.
        strata: int64 [N], such as the class of each image.

    Raises:
        BadRequest: no class has two images, so none can be spared.
    """
    hashes = np.array([unit_hash(_SALT, image.key) for image in images], np.float64)
    spared = np.zeros(len(images), bool)
    for number in np.unique(strata):
        rows = np.flatnonzero(strata == number)
        spared[rows[np.argsort(hashes[rows], kind="stable")[:-1]]] = True
    if not spared.any():
        raise BadRequest(f"{len(images)} labelled images are too few for training: a class needs two or more")
    chosen = spared & (hashes < SHARE)
    if not chosen.any():
        chosen[np.flatnonzero(spared)[hashes[spared].argmin()]] = True
    return chosen

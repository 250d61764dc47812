"""Compute a map with t-SNE: `python -m octospoon.ui.fit_map REDUCED.npy PLACES.npy`.

It runs as a process of its own, with a lower priority, so that its memory is freed and the page stays quick.
The method is FIt-SNE (Linderman and others, Nature Methods 2019), from the first two components as Kobak and
Berens advise (Nature Communications 2019): they fix where groups are relative to each other, and the result
is the same each time.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import numpy as np

from octospoon.ui.layout import plane

if TYPE_CHECKING:
    import numpy.typing as npt

SEED = 0
_NICE = 5
_PERPLEXITY = 30
_START = 1e-4
"""Standard deviation of the first places; t-SNE needs a small one."""


def fit(reduced: npt.NDArray[np.float32], threads: int = 1) -> npt.NDArray[np.float32]:
    """Return places, float32 [N, 2], for float32 [N, K] with N of at least `map_file.FEWEST`."""
    from openTSNE import TSNE

    first = plane(reduced).astype(np.float64)
    deviation = first[:, 0].std()
    first *= _START / deviation if deviation > 0 else 1.0
    model = TSNE(
        perplexity=min(_PERPLEXITY, (len(reduced) - 1) / 3),
        initialization=first,
        neighbors="exact" if len(reduced) <= 1000 else "annoy",
        n_jobs=threads,
        random_state=SEED,
    )
    return np.asarray(model.fit(reduced.astype(np.float64)), np.float32)


def main(given: str, made: str) -> None:
    """Read reduced embeddings from one file, and write their places into another."""
    os.nice(_NICE)
    np.save(made, fit(np.load(given), threads=max(1, (os.cpu_count() or 2) // 2)))


if __name__ == "__main__":
    main(*sys.argv[1:])

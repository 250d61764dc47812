"""Every hostile or odd file gets a row or is quarantined, and no other file of its batch fails."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.images import FakeImages
from fakes.pool import FakePool
from PIL import Image
from unit.corpus import CASES, model
from unit.corpus.case import Case, sample, saved

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.pool.images import ImageRef, State
from octospoon.usecases.score import ScoreUploads
from octospoon.usecases.scoring.outcomes import Outcome

GOOD = {
    "good/photo.jpg": saved(sample(size=(641, 479)), "JPEG"),
    "good/drawing.png": saved(sample("P"), "PNG"),
    "good/small.webp": saved(Image.linear_gradient("L"), "WEBP"),
}


@pytest.fixture(name="scorer", scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OnnxScorer:
    path = tmp_path_factory.mktemp("model") / "colours.onnx"
    path.write_bytes(model.build())
    return OnnxScorer(path)


def scored(scorer: OnnxScorer, files: dict[str, bytes]) -> tuple[dict[str, Outcome | Exception], FakePool]:
    pool = FakePool()
    images = FakeImages({key: (data, f"etag of {key}") for key, data in files.items()})
    score = ScoreUploads(images, pool, lambda: scorer, resolve_label=lambda _: None, workers=2)
    outcomes = score([ImageRef(key, "etag", "1", len(data)) for key, data in files.items()])
    return dict(zip(files, outcomes, strict=True)), pool


@pytest.fixture(name="alone", scope="module")
def good_ones_alone(scorer: OnnxScorer) -> dict[str, np.ndarray]:
    _, pool = scored(scorer, GOOD)
    return {key: pool.table[key].prediction.embedding for key in GOOD}


def test_the_corpus_is_large_and_names_each_file_once() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.filterwarnings("ignore")  # Pillow warns about the content of some files
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_is_scored_or_quarantined_and_its_neighbours_unaffected(
    case: Case, scorer: OnnxScorer, alone: dict[str, np.ndarray]
) -> None:
    first, *others = GOOD
    files = {first: GOOD[first], case.name: case.make(), **{key: GOOD[key] for key in others}}

    outcomes, pool = scored(scorer, files)

    row = pool.table[case.name]
    assert (outcomes[case.name], row.state, row.reason) == (
        (Outcome.QUARANTINED, State.QUARANTINED, case.reason)
        if case.reason
        else (Outcome.SCORED, State.SCORED, "")
    ), row.detail
    if not case.reason and case.colours:
        cells = row.prediction.embedding.reshape(model.GRID, model.GRID, 3) * 255
        corners = np.array([cells[0, 0], cells[0, -1], cells[-1, 0], cells[-1, -1]])
        assert np.abs(corners - case.colours).max() <= case.tolerance, corners.round()
    for key in GOOD:
        assert outcomes[key] is Outcome.SCORED
        assert np.array_equal(pool.table[key].prediction.embedding, alone[key]), key

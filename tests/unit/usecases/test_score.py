from __future__ import annotations

import numpy as np
from fakes.memory import FakeImages, FakePool

from octospoon.domain.entities import ImageRef, Prediction, State
from octospoon.domain.errors import BadImage, ServiceUnavailable
from octospoon.domain.model_spec import ModelSpec
from octospoon.usecases.score import Outcome, ScoreUploads


class ByteScorer:
    """A scorer whose tensor is the data's first byte; 0 cannot be decoded."""

    spec = ModelSpec((), 1, 1, 1, "squash", "b" * 64, 3)

    def preprocess(self, data: bytes) -> np.ndarray:
        if data[0] == 0:
            raise BadImage("truncated", "cut off")
        return np.full((1, 1, 3), data[0], np.uint8)

    def predict(self, images: np.ndarray) -> list[Prediction]:
        return [Prediction(3, "b" * 64, np.array([one.mean()], np.float32), None) for one in images]


def upload(key: str, sequencer: str = "1") -> ImageRef:
    return ImageRef(key, "from-event", sequencer, 1)


def test_each_upload_has_its_own_outcome() -> None:
    images = FakeImages({"good": (b"\x07", "e1"), "bad": (b"\x00", "e2")})
    pool = FakePool()
    score = ScoreUploads(images, pool, ByteScorer, workers=4)

    outcomes = score([upload("good"), upload("bad"), upload("gone"), upload("good")])

    assert outcomes[:3] == [Outcome.SCORED, Outcome.QUARANTINED, Outcome.QUARANTINED]
    assert pool.table["good"].state is State.SCORED
    assert pool.table["good"].etag == "e1"
    assert (pool.table["bad"].reason, pool.table["gone"].reason) == ("truncated", "gone")


def test_a_failure_of_one_image_leaves_its_neighbours_alone() -> None:
    class Flaky(FakeImages):
        def read(self, key: str) -> tuple[bytes, str]:
            if key == "flaky":
                raise ServiceUnavailable("S3 is slow")
            return b"\x01", "e"

    pool = FakePool()
    outcomes = ScoreUploads(Flaky(), pool, ByteScorer, workers=2)([upload("a"), upload("flaky"), upload("b")])

    assert outcomes[0] == outcomes[2] == Outcome.SCORED
    assert isinstance(outcomes[1], ServiceUnavailable)
    assert set(pool.table) == {"a", "b"}


def test_without_a_model_nothing_is_lost() -> None:
    def none_yet() -> ByteScorer:
        raise ServiceUnavailable("no model")

    (outcome,) = ScoreUploads(FakeImages({"a": (b"\x01", "e")}), FakePool(), none_yet, workers=1)(
        [upload("a")]
    )

    assert isinstance(outcome, ServiceUnavailable)


def test_an_older_event_does_not_undo_a_newer_one() -> None:
    pool, images = FakePool(), FakeImages({"a": (b"\x02", "new")})
    score = ScoreUploads(images, pool, ByteScorer, workers=1)
    score([upload("a", "2")])
    images.objects["a"] = (b"\x01", "old")

    assert score([upload("a", "1")]) == [Outcome.STALE]
    assert pool.table["a"].etag == "new"

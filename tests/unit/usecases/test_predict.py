from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.images import FakeImages, FakeInbox
from fakes.models import FakeChampions
from fakes.pool import FakeBlindImages

from octospoon.domain.errors import BadImage, BadModel, ServiceUnavailable
from octospoon.domain.model_spec import ChampionPointer, ModelSpec
from octospoon.domain.pool.framing import Framed
from octospoon.domain.pool.images import ImageBytes, Prediction
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.task_type import Predicted
from octospoon.usecases.predict import SPARE_SECONDS, Answer, PredictImages, version_in_service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.pool.framing import Region

PNG_HEADER = b"\x89PNG\r\n\x1a\n"


class ByteScorer:
    """The last byte is the percentage for cats; 255 cannot be decoded, 254 makes the model fail."""

    spec = ModelSpec(("cat", "dog"), 1, 1, 1, "squash", "b" * 64, 7)

    def preprocess(self, data: bytes) -> Framed:
        if data[-1] == 255:
            raise BadImage("truncated", "cut off")
        return Framed(np.full((1, 1, 3), data[-1], np.uint8))

    def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
        if images.max() == 254:
            raise BadModel("not finite")
        shares = np.array([images.mean() / 100, 1 - images.mean() / 100], np.float32)
        return [Prediction(7, "b" * 64, np.zeros(1, np.float32), shares)]


class ColdScorer(ByteScorer):
    spec = ModelSpec((), 1, 1, 1, "squash", "b" * 64, 0)

    def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
        return [Prediction(0, "b" * 64, np.zeros(1, np.float32), None)]


def plenty() -> float:
    return math.inf


def of(byte: int) -> bytes:
    return PNG_HEADER + bytes([byte])


@pytest.fixture
def inbox() -> FakeInbox:
    return FakeInbox()


@pytest.fixture
def predict(inbox: FakeInbox) -> PredictImages:
    images = FakeImages({"good": (of(80), "e"), "bad": (of(255), "e"), "other": (of(10), "e")})
    return PredictImages(images, inbox, ByteScorer, CLASSIFICATION, FakeBlindImages())


def test_an_answer_names_class_confidence_and_version(predict: PredictImages, inbox: FakeInbox) -> None:
    answer = predict.image(of(80), plenty)

    assert answer == Answer(7, ("cat", "dog"), (0.8, 0.2), Predicted("cat", 0.8))
    assert predict.stored("other", plenty).predicted == Predicted("dog", 0.9)
    assert inbox.added == {}


def test_the_first_of_equals_is_the_label(predict: PredictImages) -> None:
    assert predict.image(of(50), plenty).predicted == Predicted("cat", 0.5)


def test_image_joins_the_pool_on_request_once_per_bytes(predict: PredictImages, inbox: FakeInbox) -> None:
    keys = {predict.image(of(80), plenty, add=True).key for _ in range(3)}

    assert keys == inbox.added.keys()
    assert len(keys) == 1


@pytest.mark.parametrize(("byte", "reason"), [(255, "truncated"), (254, "model-output")])
def test_what_cannot_be_scored_never_joins(
    predict: PredictImages, inbox: FakeInbox, byte: int, reason: str
) -> None:
    with pytest.raises(BadImage) as bad:
        predict.image(of(byte), plenty, add=True)

    assert bad.value.reason == reason
    assert inbox.added == {}


def test_cold_start_model_predicts_nothing_but_the_image_still_joins(inbox: FakeInbox) -> None:
    predict = PredictImages(FakeImages(), inbox, ColdScorer, CLASSIFICATION, FakeBlindImages())
    answer = predict.image(of(1), plenty, add=True)

    assert (answer.model_version, answer.classes, answer.probabilities) == (0, (), ())
    assert list(inbox.added) == [answer.key]


def test_of_many_each_has_its_own_answer(predict: PredictImages) -> None:
    answers = predict.for_annotators(["good", "", "bad", "gone", "other"], plenty)

    assert [answer and answer.predicted.label for answer in answers] == ["cat", None, None, None, "dog"]


def test_annotators_get_no_prediction_of_a_blind_image(predict: PredictImages) -> None:
    predict = replace(predict, blind=FakeBlindImages(keys={"good"}))

    answers = predict.for_annotators(["good", "other"], plenty)

    assert [answer and answer.predicted.label for answer in answers] == [None, "dog"]
    shown = predict.stored("good", plenty).predicted
    assert shown == Predicted("cat", 0.8), "a program that asks about a key is no annotator"


def test_what_time_does_not_suffice_for_has_no_answer(predict: PredictImages) -> None:
    remaining = iter([SPARE_SECONDS, SPARE_SECONDS, SPARE_SECONDS - 1])

    answers = predict.for_annotators(["good", "other", "good"], lambda: next(remaining))

    assert [answer is not None for answer in answers] == [True, False, False]
    with pytest.raises(ServiceUnavailable, match="ask again"):
        predict.image(of(80), lambda: SPARE_SECONDS - 1)


def test_a_bucket_that_does_not_answer_is_no_missing_image(inbox: FakeInbox) -> None:
    class Down(FakeImages):
        def read(self, key: str) -> ImageBytes:
            raise ServiceUnavailable("S3 does not answer")

    with pytest.raises(ServiceUnavailable):
        PredictImages(Down(), inbox, ByteScorer, CLASSIFICATION, FakeBlindImages()).for_annotators(
            ["good"], plenty
        )


def test_without_a_model_nobody_gets_an_answer(inbox: FakeInbox) -> None:
    def none() -> ByteScorer:
        raise ServiceUnavailable("no model")

    with pytest.raises(ServiceUnavailable):
        PredictImages(FakeImages(), inbox, none, CLASSIFICATION, FakeBlindImages()).for_annotators([], plenty)


def test_the_version_in_service_is_the_pointers() -> None:
    champions = FakeChampions()
    with pytest.raises(ServiceUnavailable, match="init-model"):
        version_in_service(champions)
    champions.set(ChampionPointer(4, "a" * 64, "k", "b" * 64))
    assert version_in_service(champions) == 4

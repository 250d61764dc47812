"""Boxes are shares of the uploaded image, by every resize rule, and a wrong output is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import TensorProto
from unit.training.detectors import CLASSES, RULES, of_contract, red_detector, with_rectangle

from octospoon.adapters.imaging.decode import GREY, frame
from octospoon.adapters.onnx.file_reader import read_spec
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import BOXES, EMBEDDING, INPUT, RESIZE_RULES, SCORES, ModelSpec
from octospoon.domain.pool.framing import WHOLE, Region
from octospoon.training.graph.builder import Builder
from octospoon.training.model.optimize import Sample, forms
from octospoon.usecases.scoring.predict_image import predict_image

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 96
MIDDLE = (0.375, 0.3125, 0.625, 0.75)
SIZES = [(96, 96), (97, 61), (211, 500), (640, 480), (333, 334), (1200, 401)]


def scorer(folder: Path, resize: str, height: int = SIDE, width: int = SIDE) -> OnnxScorer:
    path = folder / "model.onnx"
    path.write_bytes(red_detector(height, width, resize))
    return OnnxScorer(path)


def found(detector: OnnxScorer, data: bytes) -> np.ndarray:
    predicted = predict_image(detector, detector.preprocess(data)).probabilities
    assert predicted is not None
    assert predicted.shape == (RULES.most, 4 + len(CLASSES))
    return predicted


@pytest.mark.parametrize("resize", RESIZE_RULES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("height", "width"), [(SIDE, SIDE), (64, 160)])
def test_a_box_is_a_share_of_the_upload(tmp_path, resize, size, height, width):
    detector = scorer(tmp_path, resize, height, width)

    predicted = found(detector, with_rectangle(size, MIDDLE))

    # a box ends at whole pixels of the input, which are some pixels of the upload
    region = frame(with_rectangle(size, MIDDLE), height, width, resize).region
    pixel = max((region.right - region.left) / width, (region.bottom - region.top) / height)
    # a crop hides what is beyond it
    shown = np.clip(MIDDLE, [region.left, region.top] * 2, [region.right, region.bottom] * 2)
    np.testing.assert_allclose(predicted[0, :4], np.clip(shown, 0, 1), atol=1.5 * pixel + 1e-6)
    np.testing.assert_allclose(predicted[0, 4:], [0.9, 0.3])
    assert not predicted[1:].any()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", RESIZE_RULES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_box_is_a_share_of_the_image_upright(tmp_path, resize, orientation, kind):
    box = (0.40, 0.42, 0.53, 0.68)

    predicted = found(scorer(tmp_path, resize), with_rectangle((230, 171), box, orientation, kind))

    np.testing.assert_allclose(predicted[0, :4], box, atol=0.025)


def test_a_box_in_the_grey_alone_is_dropped(tmp_path):
    detector = scorer(tmp_path, "letterbox")
    image = np.full((1, SIDE, SIDE, 3), GREY, np.uint8)
    image[0, :20, 10:30] = (230, 10, 10)

    (prediction,) = detector.predict(image, [Region(0, -0.5, 1, 1.5)])

    assert prediction.probabilities is not None
    assert not prediction.probabilities.any()


def test_letterboxed_boxes_without_regions_are_an_error(tmp_path):
    detector = scorer(tmp_path, "letterbox")

    with pytest.raises(ValueError, match="letterbox need the regions"):
        detector.predict(np.zeros((1, SIDE, SIDE, 3), np.uint8))


@pytest.mark.parametrize("size", SIZES)
def test_letterboxed_images_are_whole_on_grey(size):
    pixels, region = frame(with_rectangle(size, (0, 0, 1, 1)), SIDE, SIDE, "letterbox")

    grey = (pixels == GREY).all(axis=2)
    assert grey.sum() + (pixels[:, :, 0] > 200).sum() == SIDE * SIDE
    left, top = (
        round(-region.left * (~grey).any(axis=0).sum()),
        round(-region.top * (~grey).any(axis=1).sum()),
    )
    assert grey[:, :left].all()
    assert grey[:top].all()
    assert not grey[SIDE // 2, left]
    assert not grey[top, SIDE // 2]


def test_a_squashed_image_is_shown_whole():
    assert frame(with_rectangle((50, 31), MIDDLE), 24, 24, "squash").region == WHOLE


def test_the_file_describes_itself_as_octospoon_2(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(red_detector(32, 40, "letterbox", version=7))

    spec = read_spec(path)

    assert (spec.boxes, spec.classes, spec.resize, spec.version) == (5, CLASSES, "letterbox", 7)
    assert spec.to_metadata()["schema"] == "octospoon/2"
    assert ModelSpec.from_metadata(spec.to_metadata()) == spec == OnnxScorer(path).spec


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"boxes": "0"}, "at least one box"),
        ({"boxes": "1001"}, "at most 1,000"),
        ({"boxes": "many"}, "unreadable"),
        ({"classes": "[]"}, "at least one class"),
        ({"schema": "octospoon/3"}, "octospoon/2"),
    ],
)
def test_a_wrong_description_is_refused(change, problem):
    described = ModelSpec(CLASSES, 32, 32, 3, "squash", "a" * 64, 1, boxes=5).to_metadata()

    with pytest.raises(BadModel, match=problem):
        ModelSpec.from_metadata(described | change)


def answering(folder: Path, boxes: list, scores: list) -> Path:
    """Return a model that gives the same rows for every image."""
    graph = Builder()
    graph.add("Cast", [INPUT], "floats", to=TensorProto.FLOAT)
    graph.add("ReduceMean", ["floats"], EMBEDDING, axes=[1, 2], keepdims=0)
    graph.reshape(graph.add("ReduceMin", ["floats"], "least", axes=[1, 2, 3]), [-1, 1, 1], "nothing")
    for name, rows in ((BOXES, boxes), (SCORES, scores)):
        constant = graph.constant(f"all_{name}", np.array([rows], np.float32))
        graph.add("Add", [graph.add("Mul", ["nothing", "nothing"], f"no_{name}"), constant], name)
    spec = ModelSpec(CLASSES, 8, 8, 3, "squash", "", 1, boxes=len(boxes))
    path = folder / "model.onnx"
    path.write_bytes(of_contract(graph, spec))
    return path


GOOD, NONE = [0.1, 0.1, 0.5, 0.5], [0.0] * 4


@pytest.mark.parametrize(
    ("boxes", "scores", "problem"),
    [
        ([GOOD, NONE], [[np.nan, 0.2], [0, 0]], "scores is not finite"),
        ([[np.inf, 0, 1, 1], NONE], [[0.3, 0.2], [0, 0]], "boxes is not finite"),
        ([[0.1, 0.1, 1.5, 0.5], NONE], [[0.3, 0.2], [0, 0]], "not between 0 and 1"),
        ([GOOD, NONE], [[1.3, 0.2], [0, 0]], "not between 0 and 1"),
        ([GOOD, NONE], [[0.3, -0.2], [0, 0]], "not between 0 and 1"),
        ([[0.5, 0.1, 0.1, 0.5], NONE], [[0.3, 0.2], [0, 0]], "reversed"),
        ([[0.5, 0.1, 0.5, 0.5], NONE], [[0.3, 0.2], [0, 0]], "without area"),
        ([GOOD, GOOD], [[0.3, 0.2], [0, 0]], "unused rows"),
        ([GOOD, GOOD], [[0.3, 0.2], [0, 0.4]], "ordered"),
    ],
)
def test_wrong_boxes_and_scores_are_refused(tmp_path, boxes, scores, problem):
    with pytest.raises(BadModel, match=problem):
        OnnxScorer(answering(tmp_path, boxes, scores))


def test_right_boxes_and_scores_are_taken(tmp_path):
    (prediction,) = OnnxScorer(answering(tmp_path, [GOOD, NONE], [[0.3, 0.2], [0, 0]])).predict(
        np.zeros((1, 8, 8, 3), np.uint8)
    )

    np.testing.assert_allclose(prediction.probabilities, [[*GOOD, 0.3, 0.2], [0] * 6])


def test_no_forms_are_made_of_a_detector(tmp_path):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    sample = Sample(images, images, np.zeros(0, np.int64))

    with pytest.raises(BadRequest, match="the file is a detector"):
        forms(red_detector(32, 32, "squash"), None, sample)

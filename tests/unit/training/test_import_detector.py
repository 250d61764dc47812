"""Exported detectors are recognised by shape, and give the boxes that they gave before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from unit.training.exported_detectors import (
    BOXES,
    CLASSES,
    SIDE,
    Network,
    anchors,
    centred_rows,
    columns,
    lists,
    queries,
    rows,
)

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import open_session
from octospoon.cli.main import main
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.evaluation.gate import Rules as GateRules
from octospoon.domain.pool.framing import WHOLE
from octospoon.training.graph.preprocessing import Pixels
from octospoon.training.graph.suppression import Rules, reference
from octospoon.training.model import check_import
from octospoon.training.model.check_import import Options
from octospoon.training.model.recognise import named_classes

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = np.random.default_rng(3).integers(0, 256, (20, SIDE, SIDE, 3), np.uint8)
SUPPRESSED = Rules(overlap=1.0)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def of_columns(output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, w, h = output[0, :4] / SIDE
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1), output[0, 4:].T


def of_rows(output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = np.zeros((BOXES, len(CLASSES)))
    scores[np.arange(BOXES), output[0, :, 5].astype(int)] = output[0, :, 4]
    return output[0, :, :4] / SIDE, scores


def of_centred_rows(output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, w, h = output[0, :, :4].T
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1), of_rows(output)[1]


def of_queries(logits: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, w, h = boxes[0].T
    scores = 1 / (1 + np.exp(-logits[0]))
    if logits.shape[2] > len(CLASSES):
        scores = (np.exp(logits[0]) / np.exp(logits[0]).sum(axis=1, keepdims=True))[:, :-1]
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1), scores


def of_anchors(scores: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return boxes[0], scores[0, :, scores.shape[2] - len(CLASSES) :]


def of_lists(boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    table = np.zeros((BOXES, 4 + len(CLASSES)))
    table[: len(boxes), :4] = boxes / SIDE
    table[np.arange(len(boxes)), 4 + labels - 1] = scores
    return table[:, :4], table[:, 4:]


FORMS: dict[str, tuple[onnx.ModelProto, Any, Rules, str, str]] = {
    "columns": (columns(), of_columns, Rules(), "Ultralytics YOLO, boxes as centre", "letterbox"),
    "any batch": (columns(shape=("n", 3, SIDE, SIDE)), of_columns, Rules(), "Ultralytics YOLO", "letterbox"),
    "rows": (rows(), of_rows, SUPPRESSED, "end to end, boxes as x1, y1, x2, y2 in pixels", "letterbox"),
    "centred rows": (
        centred_rows(),
        of_centred_rows,
        SUPPRESSED,
        "end to end, boxes as centre, width, height in shares",
        "squash",
    ),
    "rt-detr": (queries(), of_queries, SUPPRESSED, "RT-DETR, boxes as centre", "squash"),
    "detr": (queries(1), of_queries, SUPPRESSED, "softmax scores, background last", "squash"),
    "ssd": (anchors(), of_anchors, Rules(), "SSD, boxes as x1, y1, x2, y2 in shares", "squash"),
    "ssd without background": (anchors(0), of_anchors, Rules(), "SSD", "squash"),
    "lists": (lists(), of_lists, SUPPRESSED, "torchvision, boxes as x1, y1, x2, y2 in pixels", "squash"),
}


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "theirs.onnx"
    onnx.save(model, path)
    return path


def imported(model: onnx.ModelProto, folder: Path, **options: Any) -> tuple[OnnxScorer, tuple[str, ...]]:
    """Return the wrapped detector, and what was recognised."""
    described = Options(Pixels(), **({"classes": CLASSES} | options))
    parts = check_import.read(saved(model, folder), described)
    fitted = check_import.fitted(parts, parts.classes)
    path = folder / "ours.onnx"
    path.write_bytes(fitted.model)
    return OnnxScorer(path), parts.recognised


@pytest.mark.parametrize("form", FORMS)
def test_boxes_scores_and_classes_are_those_of_the_original(form, tmp_path):
    model, decoded, rules, words, resize = FORMS[form]
    scorer, lines = imported(model, tmp_path)
    session, name = open_session(model.SerializeToString()), model.graph.input[0].name
    pixels = IMAGES.astype(np.float32) / 255
    if form == "detr":
        pixels = ((pixels - MEAN) / STD).astype(np.float32)
    together = scorer.predict(IMAGES, [WHOLE] * len(IMAGES))

    assert (scorer.spec.classes, scorer.spec.resize, scorer.spec.boxes) == (CLASSES, resize, 100)
    maps = "convolved8" if form.endswith("detr") else "maps8"
    assert words in "\n".join(lines)
    assert f"embedding: the mean over height and width of the tensor '{maps}'" in "\n".join(lines)
    assert ("overlap by more than 0.6" in "\n".join(lines)) == (rules is not SUPPRESSED)
    for i, image in enumerate(pixels.transpose(0, 3, 1, 2)):
        feed = image if len(model.graph.input[0].type.tensor_type.shape.dim) == 3 else image[np.newaxis]
        tables = decoded(*session.run(None, {name: feed}))
        boxes, scores = (table[np.newaxis].astype(np.float32) for table in tables)
        expected = np.concatenate(reference(boxes, scores, rules), axis=2)[0]
        (alone,) = scorer.predict(IMAGES[i : i + 1], [WHOLE])
        assert (expected[:, 4:] > 0).any()
        np.testing.assert_allclose(alone.probabilities, expected, atol=1e-3)
        np.testing.assert_allclose(together[i].probabilities, expected, atol=1e-3)
        np.testing.assert_allclose(together[i].embedding, alone.embedding, atol=1e-3)


def test_an_imported_detector_passes_the_checks_of_an_import(tmp_path):
    parts = check_import.read(saved(columns(), tmp_path), Options(Pixels(), classes=CLASSES))
    fitted = check_import.fitted(parts, CLASSES)
    image = tmp_path / "image.png"
    from PIL import Image

    Image.fromarray(IMAGES[0]).resize((90, 50)).save(image)

    prediction, seconds = check_import.check(fitted, image.read_bytes(), GateRules())

    assert prediction.probabilities.shape == (100, 7)
    assert seconds > 0
    again = check_import.read(_written(fitted.model, tmp_path), Options(Pixels()))
    assert check_import.fitted(again, CLASSES) == fitted


def _written(model: bytes, folder: Path) -> Path:
    path = folder / "again.onnx"
    path.write_bytes(model)
    return path


def test_the_overlap_that_is_removed_may_be_chosen(tmp_path):
    kept = [
        sum((each.probabilities[:, 4:] > 0).sum() for each in scorer.predict(IMAGES, [WHOLE] * 20))
        for overlap in (0.1, None, 1.0)
        for scorer, _ in [imported(columns(), tmp_path, overlap=overlap)]
    ]

    assert kept[0] < kept[1] < kept[2]


def test_boxes_and_scores_of_four_columns_differ_by_name(tmp_path):
    model = anchors()
    for values in (model.graph.output, *(node.output for node in model.graph.node)):
        for i, value in enumerate(values):
            if getattr(value, "name", value) == "boxes":
                if isinstance(value, str):
                    values[i] = "places"
                else:
                    value.name = "places"

    with pytest.raises(BadModel, match="any of scores, places may hold the boxes"):
        imported(model, tmp_path)


def test_labels_may_begin_at_another_number(tmp_path):
    first, _ = imported(lists(first=1), tmp_path)
    expected = [each.probabilities for each in first.predict(IMAGES)]

    other, lines = imported(lists(first=0), tmp_path, first_label=0)

    assert any("classes from 0" in line for line in lines)
    np.testing.assert_array_equal([each.probabilities for each in other.predict(IMAGES)], expected)


@pytest.mark.parametrize("model", [lists(first=0), lists(first=2), rows(labels=9)])
def test_labels_that_are_no_class_are_refused(model, tmp_path):
    with pytest.raises(BadRequest, match="labels that are no class"):
        imported(model, tmp_path)


def test_a_label_that_appears_later_is_an_error(tmp_path):
    scorer, _ = imported(lists(classes=4), tmp_path)

    with pytest.raises(BadModel, match="scores is not finite"):
        scorer.predict(np.full((1, SIDE, SIDE, 3), 255, np.uint8))


def test_a_detector_without_classes_asks_for_them(tmp_path):
    with pytest.raises(BadRequest, match="name its classes with --classes"):
        imported(lists(), tmp_path, classes=())


def test_ultralytics_names_are_read_from_the_file(tmp_path):
    model = columns()
    helper.set_model_props(model, {"task": "detect", "names": "{0: 'cat', 2: 'owl', 1: 'dog'}"})

    assert named_classes(model) == CLASSES
    scorer, _ = imported(model, tmp_path, classes=())
    assert scorer.spec.classes == CLASSES


@pytest.mark.parametrize("names", ["{0: 'cat'", "print()", "7", ""])
def test_damaged_names_are_no_classes(names):
    model = columns()
    helper.set_model_props(model, {"task": "detect", "names": names})

    assert named_classes(model) == ()


@pytest.mark.parametrize(
    ("model", "classes"),
    [(columns(), ("a", "b")), (queries(), ("a",)), (anchors(), tuple("abcdefg"))],
)
def test_an_unknown_form_is_refused_with_its_shapes(model, classes, tmp_path):
    with pytest.raises(BadModel, match=rf"\[1, (7, )?40.*no form of a detector of {len(classes)} classes"):
        imported(model, tmp_path, classes=classes)


@pytest.mark.parametrize(
    ("model", "options", "problem"),
    [
        (columns(), {"first_label": 1}, "leave out --first-label"),
        (rows(), {"overlap": 0.5}, "leave out --overlap"),
        (columns(), {"output": "nothing"}, "no tensor 'nothing'"),
    ],
)
def test_options_without_effect_are_refused(model, options, problem, tmp_path):
    with pytest.raises(BadRequest, match=problem):
        imported(model, tmp_path, **options)


def test_features_that_are_not_clear_must_be_named(tmp_path):
    net = Network()
    net.graph.reshape("images", [1, -1], "features")
    net.graph.add(
        "MatMul", ["features", net.graph.constant("w", np.ones((3 * SIDE**2, 280), np.float32))], "x"
    )
    net.graph.reshape(net.graph.add("Sigmoid", ["x"], "y"), [1, 7, BOXES], "output0")

    with pytest.raises(BadRequest, match="name a tensor with --output"):
        imported(net.file(output0=TensorProto.FLOAT), tmp_path)


def test_the_command_writes_a_detector_of_one_class(tmp_path, capsys):
    net = Network()
    boxes = net.scaled(net.numbers("boxes", 4, BOXES), SIDE)
    net.graph.add("Concat", [boxes, net.numbers("scores", 1, BOXES)], "output0", axis=1)
    path = saved(net.file(output0=TensorProto.FLOAT), tmp_path)

    code = main(["model", "import", str(path), "--classes", "face", "--to", str(tmp_path / "wrapped.onnx")])

    assert code == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "detector: outputs like those of Ultralytics YOLO" in output
    assert "boxes with a score from 0.3 on" in output
    assert OnnxScorer(tmp_path / "wrapped.onnx").spec.classes == ("face",)


def test_an_older_opset_is_converted(tmp_path):
    scorer, _ = imported(columns(opset=11), tmp_path)

    assert scorer.spec.boxes == 100

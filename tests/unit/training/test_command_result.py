"""What a program may leave in its folder, and what is refused there."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
import pytest
from unit.training.exported_detectors import columns
from unit.training.networks import network

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.training.command import result
from octospoon.training.command.result import Classes, read_metrics, read_model
from octospoon.training.model import check_import

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = Classes(("cat", "dog", "owl"), ("000-cat", "001-dog", "002-owl"))


def left(folder: Path, options: str = "", model: onnx.ModelProto | None = None) -> Path:
    onnx.save(model or network(), folder / "model.onnx")
    if options:
        (folder / "model.json").write_text(options)
    return folder


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 * 2**30)


def test_model_alone_has_our_classes_in_our_order(tmp_path):
    parts = read_model(left(tmp_path), CLASSES)
    assert parts.classes == CLASSES.names
    assert parts.resize == "cover"
    assert parts.weights.shape == (8, 3)


def test_options_are_those_of_the_import(tmp_path):
    options = (
        '{"resize": "squash", "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "channels": "bgr", "size": 32}'
    )
    parts = read_model(left(tmp_path, options, network(size="side")), CLASSES)
    assert parts.resize == "squash"
    assert "bgr, 32x32" in parts.recognised[0]


@pytest.mark.parametrize("names", [["owl", "cat", "dog"], ["002-owl", "000-cat", "001-dog"]])
def test_classes_may_be_named_by_class_or_folder(tmp_path, names):
    assert read_model(left(tmp_path, f'{{"classes": {names!r}}}'.replace("'", '"')), CLASSES).classes == (
        "owl",
        "cat",
        "dog",
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("names", "{0: '001-dog', 1: '000-cat', 2: '002-owl'}"), ("classes", '["dog", "cat", "owl"]')],
)
def test_classes_may_be_in_the_metadata_of_the_file(tmp_path, key, value):
    model = network()
    onnx.helper.set_model_props(model, {key: value})
    assert read_model(left(tmp_path, "", model), CLASSES).classes == ("dog", "cat", "owl")


def test_a_detector_is_no_classifier(tmp_path):
    with pytest.raises(BadRequest, match="is a detector, and the labels of the project are classes"):
        read_model(left(tmp_path, "", columns()), CLASSES)


def test_empty_classes_make_an_embedding(tmp_path):
    parts = read_model(left(tmp_path, '{"classes": []}', network(last="pooled")), CLASSES)
    assert (parts.classes, parts.weights) == ((), None)


def sigmoids() -> onnx.ModelProto:
    model = network(softmax=False)
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["logits"], ["chances"]))
    model.graph.output[0].name = "chances"
    return model


def test_model_for_several_classes_ends_in_sigmoids(tmp_path):
    several = replace(CLASSES, folders=(), activation="sigmoid")
    parts = read_model(left(tmp_path, "", sigmoids()), several)
    assert (parts.activation, parts.weights.shape) == ("sigmoid", (8, 3))
    assert read_model(left(tmp_path, "", network(softmax=False)), several).activation == "sigmoid"
    with pytest.raises(BadRequest, match="ends in softmax, and the labels of the project need sigmoid"):
        read_model(left(tmp_path, "", network()), several)
    with pytest.raises(BadRequest, match="ends in sigmoid, and the labels of the project need softmax"):
        read_model(left(tmp_path, "", sigmoids()), CLASSES)


def test_file_of_ours_for_another_kind_of_label_is_refused(tmp_path):
    imported = check_import.fitted(read_model(left(tmp_path), CLASSES), CLASSES.names)
    (tmp_path / "model.onnx").write_bytes(imported.model)
    assert read_model(tmp_path, CLASSES).classes == CLASSES.names
    with pytest.raises(BadRequest, match="ends in softmax, and the labels of the project need sigmoid"):
        read_model(tmp_path, replace(CLASSES, activation="sigmoid"))


def test_weights_beside_the_model_are_read(tmp_path):
    onnx.save(
        network(),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="weights.data",
        size_threshold=0,
    )
    assert (tmp_path / "weights.data").exists()
    assert read_model(tmp_path, CLASSES).weights.shape == (8, 3)


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (lambda folder: None, "has not written model.onnx"),
        (lambda folder: (folder / "model.onnx").mkdir(), "has not written model.onnx"),
        (lambda folder: (folder / "model.onnx").touch(), "model"),
        (lambda folder: (folder / "model.onnx").write_text("hello"), "cannot be read as ONNX"),
        (lambda folder: (folder / "model.onnx").symlink_to("/etc/passwd"), "model.onnx is a link or no file"),
        (lambda folder: (left(folder) / "more").symlink_to("/etc"), "more is a link or no file"),
        (lambda folder: os.mkfifo(folder / "model.onnx"), "model.onnx is a link or no file"),
        (lambda folder: sparse(folder / "model.onnx"), "take 3,221,225,472 bytes, more than 2,147,483,648"),
    ],
)
def test_files_that_are_no_model_are_refused(tmp_path, put, reason):
    put(tmp_path)
    with pytest.raises(BadModel, match=re.escape(reason)):
        read_model(tmp_path, CLASSES)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('{"means": [1, 2, 3]}', "unknown field `means`; its options are classes, size, resize, range"),
        ('{"mean": [1, 2]}', "`mean`|length|mean"),
        ('{"std": [1, 0, 1]}', "std must be positive"),
        ('{"size": 0}', "size is 0: it must be between 1 and 4096"),
        ('{"size": [8, 9000]}', "it must be between 1 and 4096"),
        ('{"range": 2}', "range"),
        ("no json", "model.json is wrong"),
        ('{"output": "absent"}', "the model has no tensor 'absent'"),
        ('{"classes": ["cat", "dog"]}', "tells 3 classes apart, --classes names 2"),
        (" " * (2**20 + 1), "model.json has more than 1,048,576 bytes"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, reason):
    with pytest.raises(BadRequest, match=reason):
        read_model(left(tmp_path, options), CLASSES)


def test_class_names_that_cannot_be_read_are_refused(tmp_path):
    model = network()
    onnx.helper.set_model_props(model, {"names": "__import__('os')"})
    with pytest.raises(BadModel, match=r"class names in the metadata of model\.onnx cannot be read"):
        read_model(left(tmp_path, "", model), CLASSES)


def test_metrics_are_read_by_epoch(tmp_path):
    assert read_metrics(tmp_path) == ()
    (tmp_path / "metrics.csv").write_text(
        "epoch,  train/loss,metrics/accuracy(B),note\n0, 1.5,0.25,\n1, nan,0.5,\n\n2,0.5,inf,\n"
    )
    assert read_metrics(tmp_path) == (
        {"epoch_train/loss": 1.5, "epoch_metrics/accuracy_B_": 0.25},
        {"epoch_metrics/accuracy_B_": 0.5},
        {"epoch_train/loss": 0.5},
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("loss\nbad\n", "row 1: loss is 'bad', no number"),
        ("loss\n" + "1\n" * 1001, "more than 1000 rows"),
        (",".join("abc" * 20) + "\n", "more than 50 columns"),
        ("loss\n" + "1" * 2**20, "more than 1,048,576 bytes"),
    ],
)
def test_metrics_that_are_none_are_refused(tmp_path, text, reason):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(BadRequest, match=reason):
        read_metrics(tmp_path)


def test_metrics_in_a_pipe_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "metrics.csv")
    assert read_metrics(tmp_path) == ()
    assert result.METRICS == "metrics.csv"

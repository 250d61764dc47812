"""Predictions on demand equal exported ones, and only octospoon's own interface is recognised."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octospoon.adapters.label_studio.api import _task
from octospoon.adapters.label_studio.interface import parse_interface
from octospoon.adapters.label_studio.labelling_interface import labelling_interface
from octospoon.adapters.label_studio.ml_backend import (
    PredictionRequest,
    check_setup,
    prediction_request,
    results,
)
from octospoon.adapters.label_studio.results import prediction
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.tasks import Task
from octospoon.domain.model_spec import version_name
from octospoon.domain.task_types.task_type import Predicted
from octospoon.usecases.predict import Answer

CLASSES = ("cat", 'a "quoted" <dog>', "Straße")
CONTROL = SingleChoice()
CONFIG = labelling_interface(CLASSES)
STORED = {name: name for name in CLASSES}


def body(image: object, config: str = CONFIG) -> bytes:
    return json.dumps({"tasks": [{"data": {"image": image}}], "label_config": config}).encode()


@pytest.mark.parametrize("label", [*CLASSES, "owl"])
def test_prediction_on_demand_equals_the_exported_prediction(label: str) -> None:
    answer = Answer(5, (label, "other"), (0.75, 0.25), Predicted(label, 0.75))
    exported = _task(CONTROL, Task("k", "e", "s3://images/k", label, 0.75, version_name(5)), STORED)

    (result,) = results(PredictionRequest(("k",), parse_interface(CONFIG).stored, CONTROL), [answer])[
        "results"
    ]

    assert exported.get("predictions", []) == ([result] if result else [])
    assert (result == []) == (label == "owl")


@pytest.mark.parametrize("confidence", [None, math.nan, -0.1, 1.1])
def test_a_confidence_that_is_no_share_is_not_sent(confidence: float | None) -> None:
    assert prediction(CONTROL, "cat", confidence, "v1", STORED) is None


def test_our_own_interface_offers_our_classes() -> None:
    assert parse_interface(CONFIG).stored == STORED


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>'
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">&c;</Choices></View>'
)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("", "not XML"),
        ("<View>", "not XML"),
        ("no XML", "not XML"),
        ("\0", "not XML"),
        (BOMB, "document type"),
        ("<View/>", "<Choices"),
        (CONFIG.replace('name="label"', 'name="class"'), "<Choices"),
        (CONFIG.replace('toName="image"', 'toName="text"'), "<Choices"),
        (CONFIG.replace("$image", "$text"), "<Choices"),
        (CONFIG.replace("Choices", "Labels"), "<Choices"),
    ],
)
def test_any_other_interface_is_refused_when_it_is_connected(config: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        check_setup(json.dumps({"schema": config, "access_token": "x"}).encode(), CONTROL)
    with pytest.raises(BadRequest, match=reason):
        prediction_request(body("s3://images/k", config), "images", CONTROL)


def test_choices_of_another_question_are_not_offered() -> None:
    other = '<Choices name="quality" toName="image"><Choice value="poor"/></Choices>'
    interface = parse_interface(CONFIG.replace("</View>", f"{other}</View>"))
    assert (interface.stored, interface.others) == (STORED, ("quality",))


def test_prediction_has_the_name_that_label_studio_stores() -> None:
    config = CONFIG.replace('value="cat"', 'value="cat" alias="c1"')
    answer = Answer(5, ("cat", "other"), (0.75, 0.25), Predicted("cat", 0.75))

    (result,) = results(prediction_request(body("s3://images/k", config), "images", CONTROL), [answer])[
        "results"
    ]

    assert result["result"][0]["value"] == {"choices": ["c1"]}


@given(st.text())
def test_any_interface_is_read_or_refused(config: str) -> None:
    for text in (config, CONFIG[:60] + config + CONFIG[60:]):
        try:
            parse_interface(text)
        except BadRequest:
            continue


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("s3://images/a b/ä+%20#.png", "a b/ä+%20#.png"),
        ("s3://images/photo?w=300", "photo"),  # what annotators see
        ("s3://images/trail ?", "trail "),
        ("s3://images/../other/k", "../other/k"),  # a key is a name, never a path
        ("s3://images/", ""),
        ("s3://images/" + "é" * 513, ""),
        ("s3://images-of-another/k", ""),
        ("s3://IMAGES/k", ""),
        ("http://169.254.169.254/latest/meta-data", ""),
        ("file:///etc/passwd", ""),
        ("https://images.s3.amazonaws.com/k?X-Amz-Signature=secret", ""),
        (None, ""),
        (["s3://images/k"], ""),
    ],
)
def test_only_images_of_our_bucket_have_keys(image: object, key: str) -> None:
    assert prediction_request(body(image), "images", CONTROL).keys == (key,)

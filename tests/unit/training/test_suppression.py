"""Boxes are suppressed in the graph exactly as in numpy."""

from __future__ import annotations

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from octospoon.adapters.onnx.session import open_session
from octospoon.domain.model_spec import BOXES, SCORES
from octospoon.training.graph.builder import Builder
from octospoon.training.graph.suppression import OPSET, Rules, reference, suppress

RULES = Rules()


def session(rules: Rules, classes: int, opset: int = OPSET):
    """Return the nodes of `suppress` as a model of their own."""
    graph = Builder()
    suppress(graph, "raw_boxes", "raw_scores", rules)
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (
            ("raw_boxes", ["N", "M", 4]),
            ("raw_scores", ["N", "M", classes]),
            (BOXES, ["N", rules.most, 4]),
            (SCORES, ["N", rules.most, classes]),
        )
    ]
    body = helper.make_graph(graph.nodes, "suppression", tensors[:2], tensors[2:], graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return open_session(model.SerializeToString())


def both(boxes, scores, rules: Rules = RULES, opset: int = OPSET):
    """Return boxes and scores of the graph, and those of the reference."""
    raw = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
    feed = dict(zip(("raw_boxes", "raw_scores"), raw, strict=True))
    return session(rules, raw[1].shape[2], opset).run([BOXES, SCORES], feed), reference(*raw, rules)


def run(boxes, scores, rules: Rules = RULES, opset: int = OPSET):
    made, expected = both(boxes, scores, rules, opset)
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert made[0].shape == (len(boxes), rules.most, 4)
    return made


def crowd(rng, images: int, boxes: int, classes: int):
    """Return overlapping boxes, some of them beyond the edge or without area, and their scores."""
    centre, half = rng.random((images, boxes, 2)), rng.random((images, boxes, 2)) * 0.2 - 0.01
    return np.concatenate([centre - half, centre + half], axis=2), rng.random((images, boxes, classes)) ** 4


@pytest.mark.parametrize("opset", [OPSET, 18, 21])
@pytest.mark.parametrize("seed", range(4))
def test_the_graph_equals_the_reference(seed, opset):
    rng = np.random.default_rng(seed)
    boxes, scores = crowd(rng, 3, 400, 5)

    made, _ = run(boxes, scores, Rules(most=50, candidates=200, overlap=0.3), opset)

    assert made.any(axis=2).sum() > 100


@pytest.mark.parametrize("seed", range(4))
def test_ties_are_resolved_alike_each_time(seed):
    rng = np.random.default_rng(seed)
    boxes, _ = crowd(rng, 2, 300, 4)
    scores = rng.integers(0, 3, (2, 300, 4)) / 4

    run(boxes, scores, Rules(most=20, candidates=60))


def test_boxes_that_are_suppressed_already_all_stay():
    boxes, scores = crowd(np.random.default_rng(5), 2, 60, 3)

    _, kept = run(boxes, scores, Rules(overlap=1, floor=0.2))

    assert (kept > 0).sum() == sum(
        ((score > np.float32(0.2)) & (box[:2] < box[2:]).all()).sum()
        for box, score in zip(np.clip(boxes, 0, 1).reshape(-1, 4), scores.reshape(-1, 3), strict=True)
    )


def test_one_class_suppresses_nothing_of_another():
    same = [0.1, 0.1, 0.5, 0.5]

    boxes, scores = run([[same, same, [0.6, 0.6, 0.9, 0.9]]], [[[0.9, 0.2], [0.8, 0.7], [0.3, 0.0]]])

    np.testing.assert_allclose(scores[0, :3], [[0.9, 0], [0, 0.7], [0.3, 0]])
    np.testing.assert_allclose(boxes[0, :3], [same, same, [0.6, 0.6, 0.9, 0.9]])
    assert not boxes[0, 3:].any()
    assert not scores[0, 3:].any()


def test_boxes_are_clipped_and_those_without_area_ignored():
    raw = [[-1, 0.2, 0.5, 3], [0.4, 0.1, 0.4, 0.9], [0.8, 0.1, 0.2, 0.9], [1.1, 0, 1.4, 1]]

    boxes, scores = run([raw], np.full((1, 4, 1), 0.5))

    np.testing.assert_allclose(boxes[0, 0], [0, 0.2, 0.5, 1])
    assert (scores > 0).sum() == 1


def test_images_of_a_batch_do_not_mix():
    rng = np.random.default_rng(0)
    boxes, scores = crowd(rng, 5, 60, 3)
    together = run(boxes, scores)

    for i in range(5):
        for whole, alone in zip(together, run(boxes[i : i + 1], scores[i : i + 1]), strict=True):
            np.testing.assert_array_equal(whole[i], alone[0])


@pytest.mark.parametrize("count", [1, 7])
def test_fewer_boxes_than_rows_leave_zeros(count):
    boxes, scores = crowd(np.random.default_rng(1), 2, count, 2)

    run(boxes, scores, Rules(most=100))


def test_an_image_without_boxes_is_all_zero():
    boxes, scores = run(np.full((2, 9, 4), 0.5), np.zeros((2, 9, 3)))

    assert not boxes.any()
    assert not scores.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["boxes", "scores"])
def test_damaged_numbers_become_scores_that_are_refused(bad, where):
    boxes, scores = crowd(np.random.default_rng(2), 2, 30, 2)
    (boxes if where == "boxes" else scores)[1, 29, 0] = bad

    made, expected = both(boxes, scores)

    for _, marked in (made, expected):
        assert np.isnan(marked[1]).all()
    np.testing.assert_array_equal(made[1][0], expected[1][0])


def test_the_size_of_a_yolo_takes_little_time():
    boxes, scores = crowd(np.random.default_rng(3), 1, 8400, 80)
    feed = {"raw_boxes": boxes.astype(np.float32), "raw_scores": (scores**4).astype(np.float32)}
    made = session(Rules(), 80)
    made.run(None, feed)

    began = time.process_time()
    made.run(None, feed)

    assert time.process_time() - began < 1

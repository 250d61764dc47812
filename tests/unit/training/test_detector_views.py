"""Augmented views show the same objects, and their boxes stay around them."""

from __future__ import annotations

import numpy as np
import pytest

from octospoon.domain.errors import NotConfigured
from octospoon.domain.pool.framing import Region, in_input, in_upload
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.views import LEAST_VISIBLE, augmented, mirrored, seen_through, visible

HEIGHT, WIDTH = 96, 128
BOX = (32, 24, 64, 72)
"""Of a white rectangle on black, in pixels."""
SCALE = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])


def drawn() -> tuple[np.ndarray, np.ndarray]:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    return pixels, np.array([[*(np.array(BOX) / SCALE), 2.0]])


def around_white(pixels: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(pixels[..., 0] > 127)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_mirrored_box_is_around_the_mirrored_object() -> None:
    pixels, targets = mirrored(*drawn())
    assert np.allclose(targets[0, :4] * SCALE, around_white(pixels))
    assert targets[0, 4] == 2


@pytest.mark.parametrize("window", [(0.1, 0.1, 0.7), (-0.2, 0.0, 1.4), (0.3, 0.2, 0.6), (-0.1, -0.3, 1.3)])
def test_box_follows_its_object_through_a_window(window: tuple[float, float, float]) -> None:
    pixels, targets = seen_through(*drawn(), *window)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.allclose(targets[0, :4] * SCALE, around_white(pixels), atol=1.5)


def test_box_outside_of_the_window_is_dropped() -> None:
    _, targets = seen_through(*drawn(), 0.6, 0.0, 0.4)
    assert targets.shape == (0, 5)


def test_cut_box_stays_if_enough_of_it_is_visible() -> None:
    boxes = np.array([[-0.5, 0.1, 0.5, 0.3, 0], [-0.8, 0.1, 0.2, 0.3, 1], [1.1, 0.1, 1.3, 0.3, 2]])
    kept = visible(boxes)
    assert kept.tolist() == [[0.0, 0.1, 0.5, 0.3, 0.0]]
    assert 0.2 < LEAST_VISIBLE < 0.5


def test_views_are_reproducible_and_differ() -> None:
    pixels, targets = drawn()
    options = DetectorOptions(flip=True)
    views = [augmented(pixels, targets, options, np.random.default_rng(seed))[0] for seed in (1, 1, 2)]
    assert np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


def test_each_change_can_be_switched_off() -> None:
    pixels, targets = drawn()
    plain = DetectorOptions(flip=False, scale=1.0, brightness=0.0)
    for seed in range(5):
        same, boxes = augmented(pixels, targets, plain, np.random.default_rng(seed))
        assert np.array_equal(same, pixels)
        assert np.array_equal(boxes, targets)
    for name, value in (("flip", True), ("scale", 1.5), ("brightness", 0.3)):
        options = DetectorOptions(**{"flip": False, "scale": 1.0, "brightness": 0.0, name: value})
        changed = [
            not np.array_equal(augmented(pixels, targets, options, np.random.default_rng(seed))[0], pixels)
            for seed in range(8)
        ]
        assert any(changed), name


def test_image_without_objects_stays_without() -> None:
    pixels, _ = drawn()
    for seed in range(5):
        options = DetectorOptions(flip=True)
        assert augmented(pixels, np.empty((0, 5)), options, np.random.default_rng(seed))[1].shape == (0, 5)


@pytest.mark.parametrize("region", [Region(), Region(0.1, 0.0, 0.9, 1.0), Region(-0.2, 0.0, 1.2, 1.0)])
def test_boxes_go_into_the_input_and_back(region: Region) -> None:
    boxes = np.array([[0.2, 0.3, 0.5, 0.8], [0.15, 0.0, 0.85, 1.0]])
    assert np.allclose(in_upload(in_input(boxes, region).astype(np.float32), region), boxes, atol=1e-6)


def test_options_are_read_and_wrong_ones_named() -> None:
    options = DetectorOptions.read("epochs=5, flip=true,minutes=2.5")
    assert (options.epochs, options.flip, options.minutes) == (5, True, 2.5)
    assert options.params()["fine_tuning_minutes"] == "2.5"
    assert not DetectorOptions().flip, "a mirrored digit is no digit"
    for wrong in ("shift=0.1", "views=0", "scale=0.5", "minutes=0"):
        with pytest.raises(NotConfigured, match=wrong.partition("=")[0]):
            DetectorOptions.read(wrong)

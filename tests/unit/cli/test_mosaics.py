"""The images of several digits are reproducible, and their boxes hold the digits."""

import io

import numpy as np
import pytest
from PIL import Image

from octospoon.cli.datasets import digits, mosaics
from octospoon.cli.datasets.mosaics import HEIGHT, MOST, WIDTH, mosaic

SCALE = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])


@pytest.fixture(scope="module")
def many() -> list[mosaics.Mosaic]:
    return [mosaic(index) for index in range(300)]


def test_equal_arguments_give_equal_images() -> None:
    first, second = mosaic(7, seed=3), mosaic(7, seed=3)
    assert first.png_bytes() == second.png_bytes()
    assert first.named_boxes == second.named_boxes


def test_each_argument_changes_the_image() -> None:
    for other in (mosaic(8), mosaic(7, seed=1), mosaic(7, held_out=True)):
        assert not np.array_equal(mosaic(7).pixels, other.pixels)


def test_counts_range_from_none_to_most(many: list[mosaics.Mosaic]) -> None:
    assert {len(each.classes) for each in many} == set(range(MOST + 1))


def test_classes_have_falling_frequencies(many: list[mosaics.Mosaic]) -> None:
    counts = np.bincount(np.concatenate([each.classes for each in many]), minlength=10)
    assert counts[-1] > 0
    assert np.array_equal(np.argsort(-counts[:3]), [0, 1, 2])
    assert counts[:5].sum() > 2.5 * counts[5:].sum()


def test_boxes_lie_within_the_image_and_hardly_overlap(many: list[mosaics.Mosaic]) -> None:
    for each in many:
        assert np.all(each.boxes >= 0)
        assert np.all(each.boxes <= 1)
        assert np.all(each.boxes[:, 2:] > each.boxes[:, :2])
        pixels = np.zeros((HEIGHT, WIDTH), int)
        for x1, y1, x2, y2 in np.round(each.boxes * SCALE).astype(int):
            pixels[y1:y2, x1:x2] += 1
        assert (pixels > 1).sum() <= 0.1 * (pixels > 0).sum()


def test_sizes_vary_by_more_than_a_factor_of_two(many: list[mosaics.Mosaic]) -> None:
    heights = np.concatenate([(each.boxes[:, 3] - each.boxes[:, 1]) * HEIGHT for each in many])
    low, high = np.percentile(heights, [5, 95])
    assert high > 2.5 * low


def test_ink_differs_from_the_background_in_boxes_alone(many: list[mosaics.Mosaic]) -> None:
    """The background's own noise and spots stay far below the contrast of the ink."""
    for each in many[:50]:
        outside = np.ones((HEIGHT, WIDTH), bool)
        for x1, y1, x2, y2 in np.round(each.boxes * SCALE).astype(int):
            outside[max(0, y1 - 3) : y2 + 3, max(0, x1 - 3) : x2 + 3] = False
        grey = each.pixels.mean(axis=2)
        middle, spread = grey[outside].mean(), grey[outside].std()
        for x1, y1, x2, y2 in np.round(each.boxes * SCALE).astype(int):
            inside = grey[y1:y2, x1:x2]
            assert np.abs(np.percentile(inside, [5, 95]) - middle).max() > 2 * spread


def test_held_out_images_show_other_handwriting() -> None:
    parts = [np.concatenate(mosaics._drawn(held_out)) for held_out in (False, True)]
    assert not set(parts[0].tolist()) & set(parts[1].tolist())
    assert len(parts[0]) + len(parts[1]) == len(digits.labels())


def test_names_follow_boxes_and_classes(many: list[mosaics.Mosaic]) -> None:
    crowded = next(each for each in many if len(each.classes) == MOST)
    assert [name for name, *_ in crowded.named_boxes] == [digits.CLASSES[i] for i in crowded.classes]
    assert np.allclose([box for _, *box in crowded.named_boxes], crowded.boxes)
    assert set(crowded.present) == {name for name, *_ in crowded.named_boxes}
    assert next(each for each in many if not len(each.classes)).present == ()


def test_file_holds_the_same_pixels() -> None:
    each = mosaic(0)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(each.png_bytes()))), each.pixels)

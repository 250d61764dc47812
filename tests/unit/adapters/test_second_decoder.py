"""The colours of the corpus compared with OpenCV's decoders, which share no code with ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from unit.corpus import CASES

if TYPE_CHECKING:
    from unit.corpus.case import Case

cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed: make .venv/.installed")

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif")
ENOUGH = 250
TURNED = re.compile("orientation|turned")
EXCEPT = {
    r"png/.*(grey-one|black-and-white)-transparent": "OpenCV does not apply tRNS to greyscale",
    r"png/(animated-with-still|beside/(acTL|fcTL))": "OpenCV shows an animation's first frame, or none",
    r"tiff/lab": "OpenCV applies another white point",
    r"tiff/.*planes": "OpenCV reads planes of eight bits only",
    r"tiff/.*white-is-zero": "OpenCV does not invert 16 bits",
    r".*(twelve|ten)-of-sixteen": "OpenCV takes every 16-bit sample for a full one",
    r"tiff/(alpha-unsaid-all-zero|fourth-sample)": "OpenCV takes every fourth sample for alpha",
    r"png/turned-by-xmp|avif/orientation|png/beside/turned": "OpenCV does not rotate them",
}
"""What OpenCV shows otherwise, and why the corpus' value is the right one all the same."""


def shown(case: Case) -> np.ndarray | None:
    """Return OpenCV's RGB pixels of a file, over white; None if it cannot read the file."""
    # in this mode it does not rotate images, and keeps an alpha channel that is zero everywhere, which
    # octospoon ignores
    plain = TURNED.search(case.name) or re.match(r"bmp/(alpha-all-zero|masks)", case.name)
    try:
        mode = cv2.IMREAD_COLOR if plain else cv2.IMREAD_UNCHANGED
        image = cv2.imdecode(np.frombuffer(case.make(), np.uint8), mode)
    except cv2.error:
        return None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        return None
    pixels = (image >> 8 if image.dtype == np.uint16 else image).astype(float)
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    colours = pixels[..., 2::-1] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    if pixels.shape[2] not in (2, 4):
        return colours
    opaque = pixels[..., -1:] / 255
    return colours * opaque + 255 * (1 - opaque)


def middles(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    return np.array(
        [pixels[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    )


def is_compared(case: Case) -> bool:
    return (
        case.name.split("/")[0] in FORMATS
        and not case.reason
        and case.colours is not None
        and not any(re.match(pattern, case.name) for pattern in EXCEPT)
        and not any(word in case.name for word in ("90-megapixels", "a-run-for-each-pixel"))
    )


def test_the_second_decoder_shows_the_same_colours() -> None:
    """Compares each file that OpenCV reads, except the listed ones, and requires a minimum number."""
    different, compared = {}, 0
    for case in filter(is_compared, CASES):
        if (pixels := shown(case)) is None:
            continue
        compared += 1
        apart = np.abs(middles(pixels) - np.array(case.colours)).max()
        if apart > max(case.tolerance, 16):
            different[case.name] = middles(pixels).round().tolist()
    assert not different
    assert compared >= ENOUGH


def test_each_exception_is_of_a_file_of_the_corpus() -> None:
    assert all(any(re.match(pattern, case.name) for case in CASES) for pattern in EXCEPT)

"""Decoding any damaged file returns pixels, or raises BadImage with a documented reason."""

from __future__ import annotations

import warnings
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from unit.corpus import CASES

from octospoon.adapters.imaging.decode import decode
from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from unit.corpus.case import Case

REASONS = {"empty", "not-an-image", "too-large", "too-narrow", "truncated", "unsupported"}
LONGEST = 60_000
FORMATS = sorted({case.name.split("/")[0] for case in CASES} - {"model"})
CUTS, FLIPS, ZEROS = 6, 8, 4


def outcome(data: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow must not warn either
        try:
            decode(data, 8, 8, "cover")
        except BadImage as bad:
            return bad.detail if "Warning" in bad.detail else bad.reason
    return ""


def mutated(data: bytes, generator: np.random.Generator) -> list[bytes]:
    """Truncate the file, flip single bits, most near the start, or write fields of zeros or ones."""
    made = [data[:at] for at in generator.integers(0, len(data) + 1, CUTS)]
    for reach in (64, 64, 300, 300, *[len(data)] * (FLIPS - 4)):
        flipped = bytearray(data)
        for at in generator.integers(0, min(reach, len(data)), generator.integers(1, 4)):
            flipped[at] ^= 1 << int(generator.integers(8))
        made.append(bytes(flipped))
    for fill in (0, 0, 255, 255)[:ZEROS]:
        at, size = int(generator.integers(0, len(data))), int(generator.choice([1, 2, 4, 8, 64]))
        made.append(data[:at] + bytes([fill]) * len(data[at : at + size]) + data[at + size :])
    return made


@pytest.mark.parametrize("folder", FORMATS)
def test_damage_ends_as_an_image_or_with_a_documented_reason(folder: str) -> None:
    wrong: dict[str, str] = {}
    for case in (known for known in CASES if known.name.startswith(f"{folder}/")):
        for number, data in enumerate(damaged(case)):
            try:
                reason = outcome(data)
            except Exception as error:  # noqa: BLE001 - that there is none is what this is about
                reason = repr(error)
            if reason and reason not in REASONS:
                wrong[f"{case.name} {number}"] = reason
    assert not wrong


def damaged(case: Case) -> list[bytes]:
    if any(
        word in case.name for word in ("90-megapixels", "bomb", "hundred-texts", "thousand", "13-megabytes")
    ):
        return []
    data = case.make()
    return (
        mutated(data, np.random.default_rng(zlib.crc32(case.name.encode())))
        if 0 < len(data) < LONGEST
        else []
    )

"""The keys of the images bucket that octospoon reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from octospoon.domain.pool.source import MADE, ImagesSource

KEYS = st.text("ab/", max_size=5)


def test_a_bucket_of_the_stack_is_read_whole() -> None:
    assert MADE.ranges() == ("",)
    assert MADE.ranges("trip/") == ("trip/",)
    assert MADE.reads("anything")


def test_ranges_are_ordered_and_apart() -> None:
    source = ImagesSource(True, ("b/", "a/x/", "a/", "b/"))

    assert source.ranges() == ("a/", "b/")
    assert source.ranges("a/x/y") == ("a/x/y",)
    assert source.ranges("c") == ()


@given(st.lists(KEYS, max_size=4), KEYS, KEYS)
def test_ranges_hold_the_keys_that_are_read_and_wanted(prefixes: list[str], prefix: str, key: str) -> None:
    source = ImagesSource(True, tuple(prefixes))

    ranges = source.ranges(prefix)

    holding = [start for start in ranges if key.startswith(start)]
    assert len(holding) == (source.reads(key) and key.startswith(prefix))
    assert list(ranges) == sorted(ranges)

"""Documents, files and the reading of the pool in the background."""

from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes.page import PageWorld
from PIL import Image

from octospoon.domain.errors import BadImage, ServiceUnavailable
from octospoon.ui.packing import pack, unpack
from octospoon.ui.pages import Pages
from octospoon.ui.refresher import DAILY, Refresher
from octospoon.ui.snapshot import Snapshot
from octospoon.ui.thumbnails import Thumbnails, jpeg, prune

if TYPE_CHECKING:
    from pathlib import Path


def test_a_document_comes_back_as_it_was_packed() -> None:
    arrays: dict[str, Any] = {
        "a": np.array([[1.5, np.nan]], np.float32),
        "b": np.array([-1, 2], np.int16),
        "c": np.array([], np.uint8),
        "d": np.array([7], np.int32),
    }
    header, back = unpack(pack({"text": "ä <b>"}, arrays))
    assert header == {"text": "ä <b>"}
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_a_type_that_the_browser_cannot_read_is_refused() -> None:
    with pytest.raises(ValueError, match="f8"):
        pack({}, {"a": np.zeros(1)})


def test_a_snapshot_comes_back_from_its_file(tmp_path: Path) -> None:
    world = PageWorld(tmp_path, 20)
    pages = Pages(world.backend(), world.world.clock)
    pages.pool.refresh()
    written, back = pages.pool.snapshot, Snapshot.load(tmp_path / "pool")
    assert written is not None
    assert back is not None
    assert back.document() == written.document()
    assert back.projection is not None
    np.testing.assert_array_equal(back.reduced, written.reduced)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pool", "thumbnails"]


@pytest.mark.parametrize(
    "content", [b"", b"OSP1\x02\x00\x00\x00{}", b"OSP1\x0f\x00\x00\x00{" + b'"format": 99}']
)
def test_a_file_that_cannot_be_read_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pool").write_bytes(content)
    assert Snapshot.load(tmp_path / "pool") is None


class Reader:
    """Reads a snapshot that another test made, or fails."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot, self.reads, self.error = snapshot, 0, False

    def __call__(self, told: Any, publish: Any) -> None:
        self.reads += 1
        if self.error:
            raise ServiceUnavailable("AWS does not answer")
        publish(self.snapshot)


def made(read_at: float, seconds: float = 1.0) -> Snapshot:
    return Snapshot({"read_at": read_at, "seconds": seconds}, [], [], {}, np.empty((0, 2), np.float32))


def test_a_restart_does_not_read_a_pool_on_aws_again(tmp_path: Path) -> None:
    reader = Reader(made(1000.0))
    first = Refresher(reader, tmp_path / "pool", DAILY, str, lambda: 1000.0)
    assert first.next_at() == 1000.0
    first.refresh()
    again = Refresher(reader, tmp_path / "pool", DAILY, str, lambda: 2000.0)
    assert again.progress.number == 1
    assert again.next_at() == 1000.0 + DAILY


def test_a_slow_pool_is_read_less_often(tmp_path: Path) -> None:
    refresher = Refresher(Reader(made(0.0, seconds=60.0)), tmp_path / "pool", 30.0, str, lambda: 60.0)
    refresher.refresh()
    assert refresher.next_at() == 600.0


def test_a_failed_read_keeps_the_last_snapshot(tmp_path: Path) -> None:
    reader = Reader(made(0.0))
    refresher = Refresher(reader, tmp_path / "pool", DAILY, str, lambda: 0.0)
    refresher.refresh()
    reader.error = True
    refresher.refresh()
    assert refresher.snapshot is reader.snapshot
    assert refresher.progress.error == "AWS does not answer"
    assert not refresher.progress.reading
    reader.error = False
    refresher.refresh()
    assert refresher.progress.error == ""


def test_a_request_is_answered_without_waiting_for_the_day(tmp_path: Path) -> None:
    reader = Reader(made(0.0))
    refresher = Refresher(reader, tmp_path / "pool", DAILY, str, lambda: 0.0)
    refresher.refresh()
    refresher.start()
    refresher.request()
    while reader.reads < 2:
        time.sleep(0.005)
    refresher.stop()


def test_a_pool_that_nobody_looks_at_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octospoon.ui.refresher._TICK", 0.005)
    reader, time_now = Reader(made(0.0)), [1000.0]
    refresher = Refresher(reader, tmp_path / "pool", DAILY, str, lambda: time_now[0])
    refresher.start()
    time.sleep(0.05)
    assert reader.reads == 0
    refresher.seen()
    while reader.reads < 1:
        time.sleep(0.005)
    time_now[0] += DAILY
    time.sleep(0.05)
    assert reader.reads == 1
    refresher.stop()


def test_a_failed_read_on_aws_waits_for_the_next_day(tmp_path: Path) -> None:
    reader, time_now = Reader(made(0.0)), [1000.0]
    reader.error = True
    refresher = Refresher(reader, tmp_path / "pool", DAILY, str, lambda: time_now[0])
    refresher.refresh()
    for later, due in ((60.0, False), (DAILY, True)):
        time_now[0] = 1000.0 + later
        refresher.seen()
        assert refresher._due() == due


def test_the_oldest_thumbnails_go_first(tmp_path: Path) -> None:
    for i in range(5):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(bytes(100))
        os.utime(path, (i, i))
    prune(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.jpg", "4.jpg"]


def test_a_thumbnail_is_read_once_and_of_the_same_bytes(tmp_path: Path) -> None:
    world = PageWorld(tmp_path, 3)
    thumbnails = Thumbnails(world.world.images, tmp_path / "thumbnails")
    first = thumbnails.get("cat/00000.png", "etag-cat/00000.png", "small")
    world.world.images.objects.clear()
    assert thumbnails.get("cat/00000.png", "etag-cat/00000.png", "small") == first
    world.add("new.png", np.zeros(16, np.float32), 0)
    with pytest.raises(BadImage, match="changed"):
        thumbnails.get("new.png", "other", "small")


def test_a_thumbnail_keeps_the_shape_and_stays_upright() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (800, 400), "red").save(file, "JPEG", exif=exif)
    assert Image.open(io.BytesIO(jpeg(file.getvalue(), 160))).size == (80, 160)
    small = io.BytesIO()
    Image.new("RGB", (12, 8), "red").save(small, "PNG")
    assert Image.open(io.BytesIO(jpeg(small.getvalue(), 160))).size == (12, 8)

"""`octospoon drop --watch`: complete files only, each once, until somebody stops it."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from octospoon.cli import extras
from octospoon.cli.datasets.settling import SETTLING, being_written
from octospoon.cli.main import main
from octospoon.cli.operations.upload import OTHER, Upload
from octospoon.cli.operations.watch_folder import RESCAN, RETRY, WatchFolder, changes_of, watch
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class FakeS3:
    """A bucket whose ETags are MD5s."""

    objects: dict[str, bytes] = field(default_factory=dict)
    puts: list[str] = field(default_factory=list)
    away: bool = False

    def head_object(self, Bucket: str, Key: str) -> Any:  # noqa: N803
        if self.away:
            raise EndpointConnectionError(endpoint_url="http://s3")
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")
        return {"ETag": '"-"', "ContentLength": len(self.objects[Key])}

    def get_object(self, Bucket: str, Key: str, **_: str) -> Any:  # noqa: N803
        body = io.BytesIO(self.objects[Key])
        return {"Body": SimpleNamespace(iter_chunks=lambda size: iter(lambda: body.read(size), b""))}

    def put_object(self, Bucket: str, Key: str, Body: Any, **_: str) -> None:  # noqa: N803
        self.objects[Key] = Body.read()
        self.puts.append(Key)


class Watched:
    """A folder that is watched, on a clock that a test moves."""

    def __init__(self, folder: Path, s3: FakeS3, *, replace: bool = False) -> None:
        self.time, self.reports, self.warnings = 100.0, [], []
        upload = Upload(s3, "b", replace=replace)
        self.folder = WatchFolder(
            folder,
            "cam/",
            upload,
            lambda key, outcome: self.reports.append((key, outcome)),
            self.warnings.append,
            lambda: self.time,
        )

    def later(self, seconds: float = SETTLING) -> None:
        self.time += seconds
        self.folder.look()


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def watched(tmp_path: Path, s3: FakeS3) -> Watched:
    return Watched(tmp_path, s3)


def test_a_file_is_uploaded_once_it_has_settled(tmp_path: Path, s3: FakeS3, watched: Watched) -> None:
    (tmp_path / "day 1").mkdir()
    (tmp_path / "day 1" / "a.jpg").write_bytes(b"picture")

    watched.folder.look()
    assert s3.puts == []
    watched.later()
    watched.later()

    assert s3.objects == {"cam/day 1/a.jpg": b"picture"}
    assert watched.reports == [("cam/day 1/a.jpg", "uploaded")]
    assert s3.puts == ["cam/day 1/a.jpg"]
    assert watched.folder.due == watched.time + RESCAN


def test_a_growing_file_is_left_until_it_stops(tmp_path: Path, s3: FakeS3, watched: Watched) -> None:
    file = tmp_path / "a.jpg"
    for size in range(1, 4):
        file.write_bytes(b"x" * size)
        watched.later()
        assert s3.puts == []

    watched.later()

    assert s3.objects == {"cam/a.jpg": b"xxx"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says whether a file is open for writing")
def test_a_file_that_is_open_for_writing_is_left(tmp_path: Path, s3: FakeS3, watched: Watched) -> None:
    file = tmp_path / "a.jpg"
    with file.open("wb") as writer:
        writer.write(b"half")
        writer.flush()
        watched.folder.look()
        watched.later()
        watched.later(60)
        assert s3.puts == []
        writer.write(b" and half")
    watched.folder.look()
    watched.later()

    assert s3.objects == {"cam/a.jpg": b"half and half"}
    assert not being_written(file)
    assert not being_written(tmp_path / "no such file")


def test_a_file_that_changes_while_it_is_copied_waits(
    tmp_path: Path, s3: FakeS3, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, copy = tmp_path / "a.jpg", shutil.copyfile
    file.write_bytes(b"old")
    watched.folder.look()

    def overtaken(source: Path, target: Path) -> None:
        copy(source, target)
        file.write_bytes(b"newer")

    monkeypatch.setattr(shutil, "copyfile", overtaken)
    watched.later()
    assert s3.puts == []
    monkeypatch.undo()
    watched.later()
    watched.later()

    assert s3.objects == {"cam/a.jpg": b"newer"}


def test_a_restart_uploads_nothing_twice(tmp_path: Path, s3: FakeS3, watched: Watched) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    watched.folder.look()
    watched.later()
    (tmp_path / "b.jpg").write_bytes(b"b")

    again = Watched(tmp_path, s3)
    again.folder.look()
    again.later()

    assert s3.puts == ["cam/a.jpg", "cam/b.jpg"]
    assert again.reports == [("cam/b.jpg", "uploaded")]


@pytest.mark.parametrize(("replace", "outcome"), [(False, OTHER), (True, "replaced")])
def test_other_bytes_replace_only_when_asked(tmp_path: Path, s3: FakeS3, replace: bool, outcome: str) -> None:
    watched = Watched(tmp_path, s3, replace=replace)
    for body in (b"a", b"bb"):
        (tmp_path / "a.jpg").write_bytes(body)
        watched.later()
        watched.later()
        watched.later()

    assert watched.reports == [("cam/a.jpg", "uploaded"), ("cam/a.jpg", outcome)]
    assert s3.objects["cam/a.jpg"] == (b"bb" if replace else b"a")


def test_other_files_are_named_once_when_they_stay(tmp_path: Path, watched: Watched) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "new.jpg").touch()
    watched.folder.look()
    assert watched.warnings == []
    (tmp_path / "new.jpg").write_bytes(b"picture")
    for _ in range(3):
        watched.later()

    (warning,) = watched.warnings
    assert "notes.txt" in warning


def test_an_outage_is_told_and_survived(tmp_path: Path, s3: FakeS3, watched: Watched) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    watched.folder.look()
    s3.away = True
    watched.later()
    assert f"trying again in {RETRY:.0f} s" in watched.warnings[0]
    assert watched.folder.earliest == watched.time + RETRY

    s3.away = False
    watched.later(RETRY)

    assert s3.puts == ["cam/a.jpg"]


def test_a_folder_that_is_gone_ends_it(tmp_path: Path, s3: FakeS3) -> None:
    watched = Watched(tmp_path / "gone", s3)

    with pytest.raises(BadRequest, match="is gone"):
        watched.folder.look()


def test_the_folder_is_looked_through_when_something_changes(tmp_path: Path, watched: Watched) -> None:
    looks: list[float] = []
    watched.folder.look = lambda: looks.append(watched.time)
    watched.folder.earliest, watched.folder.due = 103.0, 110.0
    stop = threading.Event()

    def changes() -> Iterator[bool]:
        for watched.time in (101.0, 102.0, 103.0, 104.0, 110.0):
            yield watched.time == 102.0
        stop.set()
        yield True

    watch(watched.folder, changes(), stop)

    assert looks == [100.0, 103.0, 110.0]


@pytest.mark.parametrize("reported", [True, False])
def test_changes_of_a_real_folder_are_noticed(
    tmp_path: Path, s3: FakeS3, reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "installed", lambda _: reported)
    folder, stop = Watched(tmp_path, s3).folder, threading.Event()
    news: list[bool] = []
    for changed in changes_of(folder, stop):
        news.append(changed)
        if len(news) == 1:
            (tmp_path / "a.jpg").write_bytes(b"a")
        if len(news) == (2 if not reported else 20) or changed:
            stop.set()

    assert any(news) == reported
    assert (folder.rescan == RESCAN) == reported


def test_a_signal_ends_the_command_cleanly(
    tmp_path: Path, s3: FakeS3, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    monkeypatch.setattr(sys.modules["octospoon.cli.datasets.settling"], "SETTLING", 0.0)
    deployment = SimpleNamespace(outputs={"ImagesBucket": "b"}, client=lambda _: s3)
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: deployment)
    before = signal.getsignal(signal.SIGINT)

    def interrupt() -> None:
        while not s3.puts:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert main(["drop", "--watch", str(tmp_path), "--json"]) == 0

    written = capsys.readouterr()
    assert written.out == '{"key":"a.jpg","outcome":"uploaded"}\n'
    assert "ended: 1 images uploaded, 0 replaced" in written.err
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("paths", [["here", "there"], ["file.jpg"]])
def test_only_one_folder_can_be_watched(
    paths: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: None)

    assert main(["drop", "--watch", *paths]) == 1

    assert "--watch takes one folder" in capsys.readouterr().err


@pytest.mark.parametrize("watch", [[], ["--watch"]])
def test_a_bucket_that_is_only_read_is_not_written(
    tmp_path: Path,
    s3: FakeS3,
    watch: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    outputs = {"ImagesBucket": "b", "ImagesSource": "existing", "ImagesPrefixes": "photos/"}
    deployment = SimpleNamespace(outputs=outputs, client=lambda _: s3)
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: deployment)

    assert main(["drop", *watch, str(tmp_path)]) == 1
    assert "allow it with --into-existing-bucket" in capsys.readouterr().err
    assert main(["drop", *watch, str(tmp_path), "--into-existing-bucket"]) == 1
    assert "only keys that begin with photos/" in capsys.readouterr().err
    assert s3.puts == []
    if not watch:
        allowed = ["drop", str(tmp_path), "--into-existing-bucket", "--prefix", "photos/"]
        assert main(allowed) == 0
        assert s3.puts == ["photos/a.jpg"]

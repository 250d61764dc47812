"""The page as static files."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import pytest
from fakes.page import PageWorld
from fakes.watched import boxed, judged, watched

from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.trace import Export, Trace, Training
from octospoon.ui import assets
from octospoon.ui.export import NEIGHBOURS, STORIES, export
from octospoon.ui.packing import unpack
from octospoon.ui.pages import Pages

if TYPE_CHECKING:
    from pathlib import Path


def written(tmp_path: Path, images: int, thumbnails: int = 2000) -> tuple[Path, PageWorld]:
    fake = PageWorld(tmp_path / "kept", images)
    if images:
        fake.rank()()
        fake.world.resolve(fake.world.rounds.read(1).picks[0].key, Consensus("cat", 1.0, 1))
    done = export(Pages(fake.backend(), fake.world.clock), tmp_path / "out", thumbnails)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert done.size == sum(path.stat().st_size for path in files)
    assert done.thumbnails == len([path for path in files if path.suffix == ".jpg"])
    return tmp_path / "out", fake


def arrived(folder: Path, name: str):
    text = (folder / "data" / f"{name}.js").read_text()
    match = re.fullmatch(r'octospoon\.arrived\("(\w+)", (.*)\);\n', text, re.DOTALL)
    assert match
    assert match[1] == name
    return json.loads(match[2])


def test_an_export_holds_the_views_and_the_thumbnails(tmp_path: Path) -> None:
    folder, fake = written(tmp_path, 30)
    header, arrays = unpack(base64.b64decode(arrived(folder, "pool")))
    assert sorted(header["keys"]) == sorted(fake.world.pool.table)
    assert arrays["near"].shape == (30, NEIGHBOURS)
    assert (arrays["near"] >= 0).all()
    assert not (arrays["near"] == np.arange(30)[:, np.newaxis]).any()
    assert len(arrived(folder, "batch")["images"]) == 10
    assert len(arrived(folder, "preview")["images"]) == 10
    for image in header["ids"]:
        assert (folder / "thumbnails" / "small" / f"{image}.jpg").read_bytes().startswith(b"\xff\xd8")


def secretive(trace: Trace) -> Trace:
    """Return a story with everything that an export must not tell."""
    who = Annotation(trace.key, "e", "7", 7, "2026-01-01T00:00:00Z", "ann@secret.example", "cat")
    job = Training("train-000001", "s3://secret/a", "train", "cat", "e", run="https://secret.example/run")
    return replace(
        trace,
        export=Export(2.0, 5, "https://secret.example/task"),
        annotations=(who,),
        trainings=(job,),
        notes=("a fact", "https://secret.example does not answer"),
    )


def test_an_export_names_no_address_and_nobody(tmp_path: Path) -> None:
    fake = PageWorld(tmp_path / "kept", 30)
    plain = fake.trace
    with patch.object(fake, "trace", lambda key: secretive(plain(key))):
        export(Pages(fake.backend(), fake.world.clock), tmp_path / "out")
    assert arrived(tmp_path / "out", "state")["links"] == {}
    data = "".join(path.read_text() for path in (tmp_path / "out" / "data").iterdir())
    assert "8080" not in data
    assert "secret" not in data


def test_an_export_tells_stories_of_rounds_first(tmp_path: Path) -> None:
    fake = PageWorld(tmp_path / "kept", STORIES + 30)
    fake.rank()()
    plain, missing = fake.trace, fake.world.rounds.read(1).picks[0].key

    def traced(key: str) -> Trace:
        if key == missing:
            raise BadRequest("there is no such image")
        return secretive(plain(key))

    with patch.object(fake, "trace", traced):
        export(Pages(fake.backend(), fake.world.clock), tmp_path / "out")
    stories = arrived(tmp_path / "out", "stories")
    assert len(stories) == STORIES - 1
    assert {pick.key for pick in fake.world.rounds.read(1).picks} - stories.keys() == {missing}
    events = {event["what"]: event["particulars"] for event in next(iter(stories.values()))["timeline"]}
    assert events["exported"] == "task 5"
    assert events["annotated"] == "cat, annotation 7"
    assert events["trained on"] == "train-000001 (train) as cat"


def test_an_export_holds_the_boxes_of_images(tmp_path: Path) -> None:
    fake = PageWorld(tmp_path / "kept", 9, task_type=DETECTION)
    key, *_ = boxed(fake, audit=3)
    export(Pages(fake.backend(), fake.world.clock), tmp_path / "out", images=5)
    shown = arrived(tmp_path / "out", "boxes")
    assert len(shown) == 5
    assert [box["name"] for box in shown[key]["boxes"]] == ["cat"]
    text, confidence, predicted = shown[key]["predicted"]
    assert (text, [box["name"] for box in predicted]) == ("1 × cat, 1 × owl", ["cat", "owl"])
    assert 0 < confidence < 1
    without = next(key for key in shown if not shown[key]["boxes"])
    assert shown[without]["predicted"] is not None


def test_an_export_holds_the_figures_without_messages(tmp_path: Path) -> None:
    fake = PageWorld(tmp_path / "kept", 30)
    watched(fake)
    keys = judged(fake, audit=10)
    export(Pages(fake.backend(), fake.world.clock), tmp_path / "out", 20)
    model, watch = arrived(tmp_path / "out", "model"), arrived(tmp_path / "out", "watch")
    assert [image["key"] for image in model["document"]["images"]] == keys
    assert sorted(watch["document"]) == ["jobs", "observed"]
    assert watch["pool"]["quarantine"]["total"] == 1
    assert not model["reading"]
    shown = {path.stem for path in (tmp_path / "out" / "thumbnails" / "small").iterdir()}
    assert {image["id"] for image in model["document"]["images"]} <= shown


def test_the_files_are_those_of_the_page(tmp_path: Path) -> None:
    folder, _ = written(tmp_path, 3)
    for path, content in assets.files().items():
        if path not in (assets.INDEX, "js/source.js"):
            assert (folder / "static" / path).read_bytes() == content
    assert "live: false" in (folder / "static" / "js" / "source.js").read_text()
    index = (folder / "index.html").read_text()
    assert index.count("Content-Security-Policy") == 1
    assert "unsafe" not in index


def test_images_of_batches_and_labelled_ones_come_first(tmp_path: Path) -> None:
    folder, _ = written(tmp_path, 60, thumbnails=12)
    batch, preview = arrived(folder, "batch"), arrived(folder, "preview")
    shown = {path.stem for path in (folder / "thumbnails" / "small").iterdir()}
    assert len(shown) == 12
    assert {image["id"] for image in batch["images"]} <= shown | {each["id"] for each in preview["images"]}


def test_an_empty_deployment_is_exported_too(tmp_path: Path) -> None:
    folder, _ = written(tmp_path, 0)
    header, _ = unpack(base64.b64decode(arrived(folder, "pool")))
    assert header["keys"] == []
    assert not (folder / "data" / "batch.js").exists()


def test_an_image_that_cannot_be_shown_is_left_out(tmp_path: Path) -> None:
    fake = PageWorld(tmp_path / "kept", 6)
    fake.world.images.objects["cat/00000.png"] = (b"no image", "etag-cat/00000.png")
    done = export(Pages(fake.backend(), fake.world.clock), tmp_path / "out")
    assert (done.images, done.thumbnails, done.left_out) == (6, 5, 1)


def test_a_folder_with_files_is_not_overwritten(tmp_path: Path) -> None:
    fake = PageWorld(tmp_path / "kept", 3)
    (tmp_path / "file").touch()
    for target in (tmp_path, tmp_path / "file"):
        with pytest.raises(BadRequest, match="not an empty folder"):
            export(Pages(fake.backend(), fake.world.clock), target)

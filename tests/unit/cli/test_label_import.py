"""Imports of labels, over the in-memory pool and an images bucket that scores at once."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fakes.images import FakeImages
from fakes.images_bucket import Bucket
from fakes.imported_labels import FakeImportedLabels
from fakes.world import FakeWorld

from octospoon.cli.commands.labels.import_labels import _document, summary
from octospoon.cli.datasets.row_labels import CONTRADICTION
from octospoon.cli.operations import exports, label_import, run_now
from octospoon.cli.operations.label_import import Options
from octospoon.cli.operations.upload import OTHER
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.imported import Outcome
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.pool.images import ImageRef, State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.usecases.reconcile_report import ReconcileReport

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("cat", "dog")


class Here(SimpleNamespace):
    world: FakeWorld
    bucket: Bucket
    deployment: Any
    classes: ClassHistory
    calls: list[str]

    def add(self, *keys: str) -> None:
        for key in keys:
            self.bucket.put_object("images", key, io.BytesIO(key.encode()))
        self.bucket.puts = 0

    def run(self, source: Path, **options: Any) -> label_import.Imported:
        return label_import.import_labels(self.deployment, source, Options(**options))

    def labels(self) -> dict[str, tuple[str, int]]:
        images = self.world.pool.labelled()
        return {image.key: (image.label, image.annotators) for image in images}


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def make() -> Here:
    world, images = FakeWorld(), FakeImages()
    bucket = Bucket(world, images)
    made = Here(world=world, bucket=bucket, classes=ClassHistory(CLASSES), calls=[])
    made.deployment = SimpleNamespace(
        task_type=CLASSIFICATION,
        task_type_record=SimpleNamespace(
            check=lambda: made.calls.append("check"), keep=lambda: made.calls.append("keep")
        ),
        outputs={"ImagesBucket": "images"},
        imported_labels=FakeImportedLabels(world.labels),
        pool_report=world.pool,
        images=images,
        client=lambda _: bucket,
        class_record=lambda: SimpleNamespace(read=lambda: made.classes),
    )
    return made


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setattr(run_now, "reconcile", lambda _: ReconcileReport(job="train-000001"))
    monkeypatch.setattr(label_import, "_PAUSE", 0.0)
    return make()


def folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"picture {name}".encode())
    return root


def csv_of(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["image,label", *rows]))
    return path


def test_the_kind_of_label_is_kept_before_any_is_stored(here, tmp_path) -> None:
    here.add("a.jpg")
    source = csv_of(tmp_path / "labels.csv", "a.jpg,cat")

    here.run(source, dry_run=True)
    assert here.calls == ["check"]
    here.run(source)
    assert here.calls == ["check", "keep"]

    def refused() -> None:
        raise NotConfigured("labels of the task type multilabel")

    here.deployment.task_type_record.keep = refused
    with pytest.raises(NotConfigured, match="multilabel"):
        here.run(csv_of(tmp_path / "labels.csv", "a.jpg,dog"), replace=True)
    assert here.labels() == {"a.jpg": ("cat", 0)}


def test_a_bucket_that_is_only_read_gets_no_image(here, tmp_path) -> None:
    here.deployment.outputs["ImagesSource"] = "existing"
    source = folder(tmp_path / "photos", "cat/a.jpg", "dog/b.jpg")
    here.bucket.put_object("images", "cat/a.jpg", io.BytesIO(b"picture cat/a.jpg"))
    here.bucket.puts = 0

    result = here.run(source)

    assert (result.stored, result.uploads, here.bucket.puts) == (1, 0, 0)
    assert result.skipped.counts == {label_import.ONLY_READ: 1}
    assert list(here.labels()) == ["cat/a.jpg"]


def test_folder_is_uploaded_and_labelled_once(here, tmp_path) -> None:
    source = folder(tmp_path / "photos", "cat/a b.jpg", "cat/c.jpg", "dog/d.jpg")

    result = here.run(source)

    assert (result.stored, result.uploads, result.job) == (3, 3, "train-000001")
    assert here.labels() == {"cat/a b.jpg": ("cat", 0), "cat/c.jpg": ("cat", 0), "dog/d.jpg": ("dog", 0)}
    assert here.world.control.state().new_labels == 3
    table = {key: asdict(row) for key, row in here.world.pool.table.items() if row.prediction}
    again = here.run(source)
    assert (again.stored, again.uploads, again.job) == (0, 0, "")
    assert again.outcomes == {Outcome.SAME: 3}
    assert here.world.control.state().new_labels == 3
    assert here.bucket.puts == 3
    assert repr({key: asdict(row) for key, row in here.world.pool.table.items()}) == repr(table)


def test_images_are_named_by_key_address_or_path(here, tmp_path) -> None:
    here.add("deep/a.jpg", "b c.jpg")
    folder(tmp_path, "local/d.jpg")
    rows = [
        "deep/a.jpg,cat",
        "s3://images/b c.jpg,dog",
        "local/d.jpg,dog",
        "s3://other/x.jpg,cat",
        "https://host/y.jpg,cat",
        "missing.jpg,cat",
        "../outside.jpg,cat",
    ]
    (tmp_path.parent / "outside.jpg").write_bytes(b"x")
    result = here.run(csv_of(tmp_path / "labels.csv", *rows), prefix="new/")

    assert here.labels() == {"deep/a.jpg": ("cat", 0), "b c.jpg": ("dog", 0), "new/local/d.jpg": ("dog", 0)}
    assert result.outcomes == {Outcome.NEW: 3, Outcome.MISSING: 1}
    assert {place for places in result.skipped.examples.values() for place in places} == {
        "line 5",
        "line 6",
        "line 8",
    }


def test_dry_run_counts_and_changes_nothing(here, tmp_path) -> None:
    here.add("a.jpg", "b.jpg")
    folder(tmp_path, "c.jpg")
    source = csv_of(tmp_path / "l.csv", "a.jpg,cat", "b.jpg,fox", "c.jpg,dog", "a.jpg,cat")

    result = here.run(source, dry_run=True)

    assert (result.rows, result.stored, result.uploads) == (4, 2, 1)
    assert (result.classes, result.unknown_classes) == ({"cat": 1, "dog": 1}, {"fox": 1})
    assert (here.labels(), here.bucket.puts, here.world.labels.stored) == ({}, 0, {})
    assert "class fox: 1 images, left out: the project has no such class (--map fox=CLASS)" in summary(result)
    assert json.loads(json.dumps(_document(result)))["outcomes"]["new"]["count"] == 2
    assert here.run(source, renamed={"fox": "dog"}).stored == 3


def test_conflicts_are_named_and_people_win(here, tmp_path) -> None:
    here.add("person.jpg", "same.jpg", "audit.jpg", "bad.jpg", "twice.jpg", "before.jpg")
    for key, audit in {"person.jpg": False, "same.jpg": False, "audit.jpg": True}.items():
        here.world.pool.claim(Pick(key, md5(key.encode()), audit, "random", None, 0, 0.5), 1, 0.0)
        here.world.pool.mark_exported(key, 1, 1)
    for key in ("person.jpg", "same.jpg"):
        here.world.resolve(key, Consensus("cat", 1.0, 1))
    here.world.pool.put_quarantine(ImageRef("bad.jpg", "0", "2", 1), "truncated", "")
    here.run(csv_of(tmp_path / "first.csv", "before.jpg,cat"))
    rows = ["person.jpg,dog", "same.jpg,cat", "audit.jpg,cat", "bad.jpg,cat", "twice.jpg,cat"]
    source = csv_of(tmp_path / "l.csv", *rows, "twice.jpg,dog", "before.jpg,dog")

    result = here.run(source)

    assert result.outcomes == {
        Outcome.CONTRADICTED: 1,
        Outcome.CONFIRMED: 1,
        Outcome.AUDIT: 1,
        Outcome.QUARANTINED: 1,
        Outcome.OTHER_IMPORT: 1,
    }
    assert result.conflicts == 2
    assert result.skipped.examples == {CONTRADICTION: ["twice.jpg (line 6 and line 7)"]}
    assert here.labels() == {"person.jpg": ("cat", 1), "same.jpg": ("cat", 1), "before.jpg": ("cat", 0)}
    assert here.world.pool.table["audit.jpg"].state is State.EXPORTED
    assert any("theirs stays: person.jpg" in line for line in summary(result))
    assert here.run(source, replace=True).outcomes[Outcome.REPLACED] == 1
    assert here.labels()["before.jpg"] == ("dog", 0)


def test_label_of_other_bytes_is_refused(here, tmp_path) -> None:
    here.add("a.jpg")
    folder(tmp_path, "a.jpg")
    (tmp_path / "m.jsonl").write_text('{"key": "a.jpg", "label": "cat", "etag": "0"}\n')

    assert here.run(csv_of(tmp_path / "l.csv", "a.jpg,cat")).outcomes == {Outcome.OTHER_BYTES: 1}
    assert here.run(tmp_path / "m.jsonl").outcomes == {Outcome.OTHER_BYTES: 1}
    here.world.pool.table.clear()
    assert here.run(csv_of(tmp_path / "l.csv", "a.jpg,cat")).skipped.counts == {OTHER: 1}
    assert here.labels() == {}


def test_images_that_nobody_scores_are_reported(here, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(label_import, "_PATIENCE", 0.0)
    here.bucket.scores = False
    source = folder(tmp_path / "p", "cat/a.jpg", "dog/b.jpg")

    assert here.run(source).outcomes == {Outcome.UNSCORED: 2}
    for key in ("cat/a.jpg", "dog/b.jpg"):
        here.bucket.score(key)
    assert here.run(source).outcomes == {Outcome.NEW: 2}


def test_interrupted_import_is_finished_by_another_run(here, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(label_import, "_PAGE", 3)
    source = folder(tmp_path / "p", *(f"cat/{i}.jpg" for i in range(10)))
    store = here.deployment.imported_labels.store
    calls = iter(range(3))

    def killed(labels):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return store(labels)

    monkeypatch.setattr(here.deployment.imported_labels, "store", killed)
    with pytest.raises(KeyboardInterrupt):
        here.run(source)
    monkeypatch.setattr(here.deployment.imported_labels, "store", store)

    here.run(source)

    assert len(here.labels()) == here.world.control.state().new_labels == here.bucket.puts == 10


def test_image_that_changes_meanwhile_is_decided_again(here, tmp_path, monkeypatch) -> None:
    here.add("a.jpg")
    states = here.deployment.imported_labels.states

    def first_chosen_for_the_audit_share(keys):
        before = states(keys)
        here.world.pool.claim(Pick("a.jpg", md5(b"a.jpg"), True, "random", None, 0, 0.5), 1, 0.0)
        return before

    monkeypatch.setattr(here.deployment.imported_labels, "states", first_chosen_for_the_audit_share)

    assert here.run(csv_of(tmp_path / "l.csv", "a.jpg,cat")).outcomes == {Outcome.AUDIT: 1}


def test_stack_that_does_not_answer_loses_no_label(here, tmp_path, monkeypatch) -> None:
    def down(_):
        raise ServiceUnavailable("Label Studio does not answer")

    monkeypatch.setattr(run_now, "reconcile", down)
    here.add("a.jpg")

    result = here.run(csv_of(tmp_path / "l.csv", "a.jpg,cat"))

    assert here.labels() == {"a.jpg": ("cat", 0)}
    assert "training starts within 15 minutes if it is due" in result.note


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("l.csv", "csv"),
        ("l.jsonl", "manifest"),
        ("l.json", "coco"),
        ("l.json", "label-studio"),
        ("f", "folders"),
        ("f", "yolo"),
    ],
)
def test_exported_labels_come_back_the_same(here, tmp_path, name, form) -> None:
    second = make()
    keys = ["cat/a b.jpg", 'ü,;".png', "x/y/z.webp", "q.jpg"]
    second.add(*keys)
    for i, key in enumerate(keys):
        second.world.pool.claim(Pick(key, md5(key.encode()), not i, "margin", None, 0, 0.5), 1, 0.0)
        second.world.pool.mark_exported(key, 1, 1)
        second.world.resolve(key, Consensus(CLASSES[i % 2], 1.0, 2))
    exports.labels(second.deployment, tmp_path / name, form)
    if form not in ("folders", "yolo"):
        here.add(*keys)

    result = here.run(tmp_path / name)

    assert result.stored == 4
    assert {key: label for key, (label, _) in here.labels().items()} == {
        key: label for key, (label, _) in second.labels().items()
    }
    assert here.run(tmp_path / name).outcomes == {Outcome.SAME: 4}


def test_wrong_options_are_refused(here, tmp_path) -> None:
    with pytest.raises(BadRequest, match="does not exist"):
        here.run(tmp_path / "none")
    with pytest.raises(BadRequest, match="there is no folder"):
        here.run(csv_of(tmp_path / "l.csv"), images=tmp_path / "none")


def test_a_renamed_class_is_imported_by_any_of_its_names(here, tmp_path) -> None:
    here.add("old.jpg", "new.jpg", "person.jpg", "before.jpg", "merged.jpg")
    here.run(csv_of(tmp_path / "first.csv", "before.jpg,dog"))
    here.world.pool.claim(Pick("person.jpg", md5(b"person.jpg"), False, "random", None, 0, 0.5), 1, 0.0)
    here.world.pool.mark_exported("person.jpg", 1, 1)
    here.world.resolve("person.jpg", Consensus("dog", 1.0, 1))
    history = ClassHistory((*CLASSES, "owl")).rename("dog", "hound", 1.0)
    here.classes = history.merge(["owl"], "cat", 2.0)
    rows = ["old.jpg,dog", "new.jpg,hound", "person.jpg,hound", "before.jpg,hound", "merged.jpg,owl"]

    result = here.run(csv_of(tmp_path / "l.csv", *rows))

    assert result.outcomes == {Outcome.NEW: 2, Outcome.CONFIRMED: 1, Outcome.SAME: 1}
    assert (result.classes, result.unknown_classes) == ({"hound": 4}, {"owl": 1})
    assert {here.classes.current(label) for label, _ in here.labels().values()} == {"hound"}

"""What the view Model shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.page import PageWorld
from fakes.watched import Head, judged, watched

from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import ChampionPointer
from octospoon.ui import judging
from octospoon.ui.pages import Pages
from octospoon.usecases import judge_audit

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake(tmp_path: Path) -> PageWorld:
    world = PageWorld(tmp_path, 90)
    watched(world)
    judged(world)
    return world


def embeddings(fake: PageWorld, keys: list[str]) -> np.ndarray:
    rows = fake.world.pool.rows(keys)
    return np.stack([rows[key].embedding for key in keys])


def test_no_image_is_judged_by_a_head_that_saw_it(fake: PageWorld) -> None:
    document = judging.judged(fake.backend())
    keys = [image["key"] for image in document["images"]]
    truth = np.array([fake.classes.index(key.partition("/")[0]) for key in keys])
    served = fake.heads[2].run(embeddings(fake, keys)).argmax(axis=1)
    assert (served == truth).all()  # it was trained on them
    unseen = Head(fake, favoured=(0, 18.0)).run(embeddings(fake, keys)).argmax(axis=1)
    assert 0 < (unseen == truth).sum() < len(truth)
    now = document["versions"][0]
    assert now["version"] == document["version"] == 2
    assert now["predicted"] == [fake.classes[i] for i in unseen]
    assert now["right"] == (unseen == truth).tolist()
    accuracy = document["measured"]["evaluation"]["audit_accuracy"]["value"]
    assert accuracy == pytest.approx((unseen == truth).mean())
    assert document["measured"]["fold_heads"] == len(keys)


def test_an_image_that_every_head_saw_is_judged_by_none(fake: PageWorld) -> None:
    pointer = fake.world.champions.versions[2]
    record = fake.world.training_records.get(pointer)
    assert record is not None
    seen = np.where(record.images == record.images[0], -1, record.folds).astype(np.int8)
    fake.world.champions.versions[2] = replace(
        pointer, record_sha256=fake.world.training_records.put(replace(record, folds=seen))
    )
    fake.world.champions.set(fake.world.champions.versions[2])
    now = judging.judged(fake.backend())["versions"][0]
    assert now["right"].count(None) == now["predicted"].count(None) == 1


def test_versions_are_compared_on_the_same_images(fake: PageWorld) -> None:
    document = judging.judged(fake.backend())
    new, old = (np.array(each["right"], bool) for each in document["versions"])
    (pair,) = document["pairs"]
    assert (pair["new"], pair["old"], pair["images"]) == (2, 1, 45)
    assert pair["gained"] == (new & ~old).sum()
    assert pair["lost"] == (~new & old).sum()
    assert pair["low"] < new.mean() - old.mean() < pair["high"]


def test_a_version_of_another_backbone_is_not_compared(fake: PageWorld) -> None:
    other = ChampionPointer.of(3, "f" * 64, "e" * 64, "d" * 64, fake.classes)
    fake.world.champions.versions[3] = other
    versions = judging.judged(fake.backend())["versions"]
    assert [each["version"] for each in versions] == [2, 1]


def test_many_audit_images_are_sampled_alike(fake: PageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = judging.judged(fake.backend())
    assert not whole["sampled"]
    monkeypatch.setattr(judge_audit, "_AT_ONCE", 7)
    assert judging.judged(fake.backend()) == whole
    monkeypatch.setattr(judge_audit, "MOST", 20)
    some = judging.judged(fake.backend())
    assert some["sampled"]
    at = [whole["images"].index(image) for image in some["images"]]
    assert len(at) == 20
    assert at == sorted(at) != list(range(20))
    assert some["versions"][0]["right"] == [whole["versions"][0]["right"][i] for i in at]
    assert judging.judged(fake.backend()) == some
    row = fake.world.pool.table[some["images"][0]["key"]]
    row.prediction = replace(row.prediction, backbone="f" * 64)
    fewer = judging.judged(fake.backend())
    assert (len(fewer["images"]), fewer["sampled"]) == (19, True)


def test_calibration_counts_every_judged_image(fake: PageWorld) -> None:
    bins = judging.judged(fake.backend())["calibration"]
    assert sum(each["images"] for each in bins) == 45
    assert all(each["low"] <= each["accuracy"] <= each["high"] for each in bins)
    assert all(each["images"] for each in bins)


def test_without_a_trained_model_only_decisions_are_shown(tmp_path: Path) -> None:
    world = PageWorld(tmp_path, 0)
    document = judging.judged(world.backend())
    kind = {"task_type": "classification", "metric": "accuracy"}
    assert document == {"version": None, "jobs": [], "new_labels": 0, **kind}


def test_without_audit_labels_nothing_is_judged(tmp_path: Path) -> None:
    world = PageWorld(tmp_path, 9)
    judged(world, audit=0)
    document = judging.judged(world.backend())
    assert (document["version"], document["images"], document["calibration"]) == (2, [], [])
    assert document["measured"]["evaluation"]["accuracy"]["labels"] == 0


def test_a_missing_record_refuses_to_judge(fake: PageWorld) -> None:
    fake.world.training_records.stored.clear()
    with pytest.raises(BadModel, match="record"):
        judging.judged(fake.backend())
    pages = Pages(fake.backend(), fake.world.clock)
    assert "record" in pages.documents["model"].now()["error"]


def test_a_new_model_or_job_outdates_the_document(fake: PageWorld) -> None:
    before = judging.mark(fake.backend())
    fake.world.champions.set(fake.world.champions.versions[1])
    promoted = judging.mark(fake.backend())
    fake.world.control.now_state = replace(fake.world.control.now_state, jobs=6)
    assert len({before, promoted, judging.mark(fake.backend())}) == 3


def test_audit_images_can_be_shown(fake: PageWorld) -> None:
    pages = Pages(fake.backend(), fake.world.clock)
    pages.documents["model"].now()
    image = pages.model()["document"]["images"][0]["id"]
    assert (pages.thumbnail(image, "small") or b"").startswith(b"\xff\xd8")

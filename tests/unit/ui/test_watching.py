"""What the view Watch shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fakes.page import PageWorld
from fakes.watched import BROKEN, watched

from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.pool.keys import image_id
from octospoon.ui import watching
from octospoon.ui.pages import Pages
from octospoon.usecases.decisions import newest_jobs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake(tmp_path: Path) -> PageWorld:
    world = PageWorld(tmp_path, 30)
    watched(world)
    return world


def pages_of(fake: PageWorld) -> Pages:
    pages = Pages(fake.backend(), fake.world.clock)
    pages.pool.refresh()
    return pages


def test_days_have_their_estimates_and_tests(fake: PageWorld) -> None:
    observed = watching.records(fake.backend())["observed"]
    assert [day["day"][-2:] for day in observed["days"]] == [f"{day:02d}" for day in range(4, 12)]
    assert observed["days"][0]["accuracy"]["value"] == pytest.approx(34 / 50)
    assert observed["days"][0]["finding"] is None
    assert observed["days"][-1]["finding"]["level"] == "confirmed"
    assert observed["level"] == "confirmed"
    key = observed["images"][0]["key"]
    assert observed["images"][0]["id"] == image_id(key, fake.world.pool.table[key].etag)


def test_jobs_are_newest_first_and_may_lack_a_decision(fake: PageWorld) -> None:
    jobs = watching.records(fake.backend())["jobs"]
    assert (jobs["number"], jobs["status"], jobs["reason"]) == (5, "failed", "MLflow does not answer")
    assert [each["job_id"][-1] for each in jobs["newest"]] == ["5", "4", "3", "2", "1"]
    assert jobs["newest"][0]["decision"] is None
    assert [each["decision"]["promoted"] for each in jobs["newest"][1:]] == [True, False, True, True]


def test_only_the_newest_jobs_are_read(fake: PageWorld) -> None:
    read = [each.job_id[-1] for each in newest_jobs(fake.world.history, 5, 2)]
    assert read == ["5", "4"]


def test_a_part_that_cannot_be_read_leaves_the_others(fake: PageWorld) -> None:
    def fail() -> Any:
        raise ServiceUnavailable("SQS does not answer")

    fake.world.observations.read = fail
    document = watching.records(fake.backend())
    assert document["observed"] == {"error": "SQS does not answer"}
    assert document["jobs"]["number"] == 5
    assert watching.drifted(document) == []


def test_uploads_and_quarantine_come_from_the_snapshot(fake: PageWorld) -> None:
    for i, key in enumerate(fake.world.pool.table):
        fake.world.pool.table[key].arrived = "1970-01-03" if i % 3 else "1970-01-02"
    pages = pages_of(fake)
    fake.world.pool.images = None  # another scan would fail
    pool = pages.watch()["pool"]
    assert pool["uploads"] == [{"day": 1, "images": 11}, {"day": 2, "images": 20}]
    assert (pool["total"], pool["sampled"], pool["unknown_day"]) == (31, False, 0)
    assert pool["quarantine"]["total"] == 1
    assert pool["quarantine"]["reasons"] == [{"reason": "not_an_image", "images": 1}]
    assert [each["key"] for each in pool["quarantine"]["images"]] == [BROKEN]


def test_uploads_of_a_sampled_pool_are_estimates(fake: PageWorld) -> None:
    snapshot = pages_of(fake).pool.snapshot
    assert snapshot is not None
    snapshot.facts["total"] = 310
    pool = watching.of_pool(snapshot)
    assert pool["sampled"]
    assert sum(day["images"] for day in pool["uploads"]) + pool["unknown_day"] == 310


def test_before_the_first_snapshot_nothing_is_known_of_the_pool(fake: PageWorld) -> None:
    assert Pages(fake.backend(), fake.world.clock).watch()["pool"] == {"read_at": None}


def test_drifted_images_can_be_shown(fake: PageWorld) -> None:
    pages = Pages(fake.backend(), fake.world.clock)
    pages.documents["watch"].now()
    image = pages.watch()["document"]["observed"]["images"][0]["id"]
    assert (pages.thumbnail(image, "small") or b"").startswith(b"\xff\xd8")

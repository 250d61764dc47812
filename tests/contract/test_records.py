"""The history of an image in its row. The write that changes the row also adds the old value."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from contract.test_labels import export, resolve_label
from contract.test_pool import embedded, image, pick, prediction, rescored
from octospoon.adapters.s3.artifacts import S3Artifacts
from octospoon.adapters.s3.rounds import S3Snapshots
from octospoon.adapters.s3.versions import S3Versions
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.pool.images import ScoredImage, State
from octospoon.domain.pool.score_history import SCORES, UPLOADS

if TYPE_CHECKING:
    from contract.conftest import Stores
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.trace import ImageRecord

KEY = image(1).key


def record(stores: Stores) -> ImageRecord:
    image_record = stores.records.record(KEY)
    assert image_record is not None
    return image_record


def rescore(stores: Stores, version: int, generation: int) -> None:
    row = stores.pool.rows([KEY])[KEY]
    assert stores.rescoring_pool.rescore([row], [prediction(0.5, version, generation)]) == {KEY}


def test_every_score_is_kept_with_its_time_and_result(stores: Stores) -> None:
    assert stores.records.record(KEY) is None
    stores.scoring.insert_scores([ScoredImage(image(1), embedded(1))])
    for version, generation in ((1, 1), (2, 2), (1, 3)):  # the last one is a roll-back
        stores.clock.time += 10
        rescore(stores, version, generation)

    scores = record(stores).scores

    assert [(score.model_version, score.generation) for score in scores] == [(0, 0), (1, 1), (2, 2), (1, 3)]
    assert [score.at - scores[0].at for score in scores] == [0, 10, 20, 30]
    assert (scores[0].top_class, scores[0].confidence) == (None, None)
    assert (scores[1].top_class, scores[1].confidence) == (0, pytest.approx(0.75, abs=1e-3))  # type: ignore[comparison-overlap]


def test_row_does_not_grow_with_its_number_of_scores(stores: Stores) -> None:
    stores.scoring.put_score(image(1), embedded(1))
    for generation in range(1, 2 * SCORES + 3):
        rescore(stores, generation, generation)

    assert [score.generation for score in record(stores).scores] == list(range(SCORES + 3, 2 * SCORES + 3))


def test_a_score_that_was_refused_leaves_no_trace(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5, version=2))
    row = stores.pool.rows([KEY])[KEY]

    assert rescored(stores, [row], 0.1, version=1) == set()
    assert not stores.scoring.put_score(image(1, "old", "0F"), prediction(0.1, version=3))

    assert [score.model_version for score in record(stores).scores] == [2]
    assert record(stores).previous_uploads == ()


def test_what_newer_bytes_replace_is_kept(stores: Stores) -> None:
    stores.scoring.put_quarantine(image(1, "bad", "05"), "truncated", "cut off")
    assert record(stores).quarantined_at == stores.clock.time
    stores.clock.time += 10
    stores.scoring.put_score(image(1), prediction(0.5))
    assert record(stores).quarantined_at is None
    stores.ranking.claim(pick(1), 1, 99.0)
    stores.ranking.mark_exported(KEY, 1, 77)
    resolve_label(stores, KEY, "cat")
    stores.clock.time += 10

    assert stores.scoring.put_score(image(1, "new", "20"), prediction(0.9, version=2))

    now = record(stores)
    assert (now.etag, now.state, now.label, now.task_id) == ("new", State.SCORED, None, 0)
    bad, labelled = now.previous_uploads
    assert (bad.etag, bad.state, bad.reason, bad.scores) == ("bad", "quarantined", "truncated", ())
    assert (labelled.etag, labelled.state, labelled.label) == ("e", "labelled", "cat")
    assert (labelled.round_number, labelled.task_id) == (1, 77)
    assert [score.model_version for score in labelled.scores] == [1]
    assert labelled.replaced_at - bad.replaced_at == 10
    assert [score.model_version for score in now.scores] == [2]


def test_of_many_uploads_the_newest_are_kept(stores: Stores) -> None:
    for i in range(UPLOADS + 3):
        stores.scoring.put_score(image(1, f"e{i}", f"1{i}"), prediction(0.5))

    etags = [upload.etag for upload in record(stores).previous_uploads]
    assert etags == [f"e{i}" for i in range(2, UPLOADS + 2)]


def test_a_task_and_a_label_come_with_their_times(stores: Stores) -> None:
    export(stores, 1)
    exported_at = record(stores).exported_at
    stores.clock.time += 10
    resolve_label(stores, KEY, "cat", 0.75, 4)

    labelled = record(stores)

    assert (labelled.task_id, labelled.exported_at) == (1, exported_at)
    assert (labelled.label, labelled.agreement, labelled.annotators) == ("cat", 0.75, 4)
    assert exported_at is not None
    assert labelled.labelled_at == exported_at + 10


def test_an_image_given_back_has_no_task(stores: Stores) -> None:
    export(stores, 1)
    assert stores.entries.release(stores.entries.entries([KEY])[KEY])

    assert (record(stores).task_id, record(stores).exported_at) == (0, None)


@pytest.mark.stack
def test_the_bucket_knows_every_upload_and_deletion_of_a_key(stack: LocalStack) -> None:
    client, bucket = stack.deployment.client("s3"), f"contract-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    past = S3Versions(client, bucket)
    assert past.versions("ä b.png") == []
    for body in (b"1", b"22"):
        client.put_object(Bucket=bucket, Key="ä b.png", Body=body)
    client.delete_object(Bucket=bucket, Key="ä b.png")
    client.put_object(Bucket=bucket, Key="ä b.png2", Body=b"another key")

    versions = past.versions("ä b.png")

    assert sorted(version.size for version in versions if not version.deleted) == [1, 2]
    assert [version.etag for version in versions if version.deleted] == [""]
    assert len({version.version_id for version in versions}) == len(versions) == 3


@pytest.mark.stack
def test_one_image_is_found_in_a_snapshot(stack: LocalStack) -> None:
    client, bucket = stack.deployment.client("s3"), f"contract-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    snapshots = S3Snapshots(S3Artifacts(client, bucket))
    labelled = LabelledImage("a", "e", "cat", 1.0, 1, False, "margin", None, 1)
    rows = [replace(labelled, key=key) for key in ("a", 'b"},{"key":"x"', "c\n", "ä")]
    snapshots.write("job", rows)

    assert [snapshots.find("job", row.key) for row in rows] == rows
    assert [snapshots.find("job", key) for key in ("", "x", "b", "aa", "c")] == [None] * 5
    assert snapshots.find("another", "a") is None


@pytest.mark.stack
def test_image_is_found_in_a_long_snapshot_by_partial_reads(stack: LocalStack) -> None:
    client, bucket = stack.deployment.client("s3"), f"contract-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    snapshots = S3Snapshots(S3Artifacts(client, bucket))
    labelled = LabelledImage("", "e" * 32, "cat", 1.0, 1, False, "margin", None, 1)
    keys = sorted(f"{i % 7}/{chr(200 + i)}{'x' * (i % 900)}" for i in range(2000))
    snapshots.write("job", [replace(labelled, key=key) for key in keys])
    size = client.head_object(Bucket=bucket, Key="snapshots/job.jsonl")["ContentLength"]
    read: list[int] = []
    client.meta.events.register(
        "after-call.s3.GetObject", lambda parsed, **_: read.append(parsed.get("ContentLength", 0))
    )

    sample = [*keys[:2], *keys[2::97], *keys[-2:]]
    images = [snapshots.find("job", key) for key in sample]

    assert [image.key for image in images if image] == sample
    assert [snapshots.find("job", key + "!") for key in ("", *keys[::400])] == [None] * 6
    assert max(read) < size / 4
    snapshots.write("nothing", [])
    assert snapshots.find("nothing", keys[0]) is None

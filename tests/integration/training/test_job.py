from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from PIL import Image
from unit.training.stack import JOB, World, starter

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.cli.datasets import digits
from octospoon.domain.errors import BadRequest, Conflict, ServiceUnavailable, VersionTaken
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Pick, Round
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import DriftExample, Observation, ObservedDay
from octospoon.domain.training.jobs import JobStatus
from octospoon.ports.training import TrainingData
from octospoon.training.job.lease import LEASE_SECONDS
from octospoon.training.job.run import Outcome, run
from octospoon.training.model.model_file import read_spec, sha256


def labelled(count: int = 60, audit: int = 10) -> World:
    made = World()
    for index in range(count):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < audit)
    made.serve(starter())
    return made


def test_promoted_file_pointer_and_registry_agree_on_the_version(tmp_path):
    made = labelled()
    assert run(JOB, made.ports) is Outcome.PROMOTED
    pointer = made.champions.current
    file = made.champions.files[pointer.sha256]
    assert pointer.version == read_spec(file).version == 1 == made.registry.aliases["champion"]
    assert made.registry.logged[1]["model.onnx"] == file
    assert pointer.classes == digits.CLASSES
    scorer = OnnxScorer(made.champions.fetch(pointer, tmp_path))
    images = [scorer.preprocess(digits.png_bytes(i)).pixels[None] for i in range(300, 400)]
    right = [
        int(scorer.predict(image)[0].probabilities.argmax()) == digits.labels()[300 + i]
        for i, image in enumerate(images)
    ]
    assert sum(right) >= 60
    assert made.control.state().status is JobStatus.IDLE


def test_class_added_to_a_running_project_goes_into_service(caplog):
    made = labelled()
    assert run(JOB, made.ports) is Outcome.PROMOTED
    for index in range(60, 120):
        name = "torn" if index % 3 == 0 else digits.CLASSES[digits.labels()[index]]
        made.label(index, name, audit=index < 75)
    wider = replace(made.ports, classes=(*digits.CLASSES, "torn"))

    made.launch("train-000002")
    assert run("train-000002", made.ports) is Outcome.REFUSED or made.champions.current.version == 2
    assert "20 labels are left out: 20 unknown-class; classes that it does not know: torn (20)" in caplog.text
    assert made.registry.tags[2]["octospoon.left_out"].endswith("torn (20)")
    assert "torn (20)" in made.control.state().reason, "status shows it"

    made.launch("train-000003")
    assert run("train-000003", wider) is Outcome.PROMOTED, made.control.state().reason
    assert made.champions.current.classes == (*digits.CLASSES, "torn")
    assert "new class torn: " in made.control.state().reason
    assert "left out" not in made.control.state().reason


def test_changed_classes_are_trained_and_compared_as_now():
    made = labelled()
    assert run(JOB, made.ports) is Outcome.PROMOTED
    history = ClassHistory(digits.CLASSES).rename("7", "seven", 1.0).merge(["0", "6", "8"], "round", 2.0)
    made.labels.classes = history
    counts: dict[str, int] = {}
    ports = replace(made.ports, class_history=lambda: history, keep_labels=counts.update)

    made.launch("train-000002")
    assert run("train-000002", ports) is Outcome.PROMOTED, made.control.state().reason
    assert made.champions.current.classes == ("1", "2", "3", "4", "5", "seven", "9", "round")
    assert "accuracy " in made.control.state().reason, "compared on classes that both know"
    assert sum(counts.values()) == 60
    assert counts["round"] > counts["seven"] > 0

    made.labels.classes = undone = history.undo(3.0)
    back = replace(made.ports, class_history=lambda: undone)
    made.launch("train-000003")
    assert run("train-000003", back) is Outcome.PROMOTED, made.control.state().reason
    assert made.champions.current.classes == undone.names


def test_job_older_than_a_class_is_refused_by_its_name():
    made = labelled()
    made.control.keep_classes((*digits.CLASSES, "torn"))
    assert run(JOB, made.ports) is Outcome.REFUSED
    assert "the project has torn now" in made.control.state().reason


def test_versions_continue_and_nothing_counts_as_promoted_after_registry_reset():
    made = labelled()
    assert run(JOB, made.ports) is Outcome.PROMOTED
    before = made.champions.versions[1]
    made.registry.runs.clear()  # it counts from 1 again
    made.launch("train-000002")
    run("train-000002", made.ports)

    assert "already" not in made.control.state().reason
    assert made.registry.runs["train-000002"].version == 2
    assert made.registry.runs["train-000002"].registered == 1
    assert made.champions.versions[1] == before
    assert made.history.decision("train-000002").version == 2


def test_job_whose_version_is_another_model_fails_without_overwriting():
    made = labelled()
    other = replace(made.champions.current, version=1, sha256="f" * 64)
    made.champions.versions[1] = other
    made.champions.claims[JOB] = 1
    with pytest.raises(VersionTaken):
        run(JOB, made.ports)
    assert made.champions.versions[1] == other
    assert made.champions.current.version == 0
    assert "another model already" in made.control.state().reason


def test_every_label_is_trained_on_and_the_audit_share_measures():
    made = labelled()
    run(JOB, made.ports)
    assert made.registry.metrics["audit_labels"] == 10
    assert made.registry.metrics["training_labels"] == 60
    assert 0 < made.registry.metrics["audit_accuracy_low"] < made.registry.metrics["audit_accuracy"] + 1e-9


def test_the_run_holds_tables_images_and_the_snapshot():
    made = labelled()
    run(JOB, made.ports)
    files = made.registry.logged[1]
    assert {
        "record.npz",
        "classes.csv",
        "confusion.json",
        "evaluation.png",
        "snapshot.jsonl",
        "decision.json",
    } < set(files)
    assert not {"drift.png", "drift.csv", "drifted.png"} & set(files), "nothing was watched yet"
    assert len(files["snapshot.jsonl"].splitlines()) == 60
    matrix = json.loads(files["confusion.json"])["rows_true_columns_predicted"]
    assert sum(map(sum, matrix)) == 10
    assert files["evaluation.png"].startswith(b"\x89PNG")


def test_what_drifted_is_shown_where_something_was_watched():
    made = labelled()
    finding = DriftResult(Level.CONFIRMED, 500, 1e-9, 0.5, 1.0, 0.005)
    etag = made.pool.table["0003.png"].etag
    made.ports.observations.save(
        Observation(
            0,
            1.0,
            judged_until="2026-01-30",
            finding=finding,
            drifted=(DriftExample("0003.png", etag, 0.25), DriftExample("gone.png", "e", 0.125)),
            history=(ObservedDay("2026-01-31", 0, None, finding),),
        )
    )
    run(JOB, made.ports)
    files = made.registry.logged[1]
    assert files["drift.csv"].splitlines()[1] == (b"2026-01-31,0,confirmed,500,1e-09,0.5,1,0.005,,,,")
    for name in ("drift.png", "drifted.png"):
        with Image.open(io.BytesIO(files[name])) as image:
            assert image.width > 500


def test_job_forecasts_another_batch_from_the_third_round():
    made = World()
    for i in range(120):
        made.label(
            i,
            digits.CLASSES[digits.labels()[i]],
            audit=i % 5 == 0,
            strategy="random" if i % 5 == 1 else "margin",
            round_number=1 + i // 40,
        )
    made.serve(starter())

    run(JOB, made.ports)

    metrics = made.registry.metrics
    assert metrics["next_batch_gain_low"] <= metrics["next_batch_gain"] <= metrics["next_batch_gain_high"]
    assert "32 more training labels are expected to bring" in made.control.state().reason
    assert metrics["control_labels"] == 24
    assert metrics["strategy_lead_low"] < metrics["strategy_accuracy"] - metrics["control_accuracy"]


def test_in_the_first_round_nothing_is_foretold():
    made = labelled()
    run(JOB, made.ports)
    assert not {"next_batch_gain", "control_labels"} & made.registry.metrics.keys()
    assert "expected to bring" not in made.control.state().reason


def test_the_same_job_run_twice_promotes_once():
    made = labelled()
    run(JOB, made.ports)
    etag = made.champions.etag
    assert run(JOB, made.ports) is Outcome.NOT_OURS
    made.launch(JOB)  # the first one died before it could say that it had finished
    assert run(JOB, made.ports) is Outcome.PROMOTED
    assert made.champions.etag == etag
    assert len(made.registry.runs) == 1


def test_the_same_snapshot_gives_the_same_bytes():
    first, second = labelled(), labelled()
    run(JOB, first.ports)
    run(JOB, second.ports)
    assert first.champions.current == second.champions.current


def test_a_snapshot_is_written_once():
    made = labelled()
    made.registry.failures = 99
    with pytest.raises(ServiceUnavailable):
        run(JOB, made.ports)
    assert made.control.state().status is JobStatus.FAILED
    made.label(100, "4")
    made.registry.failures = 0
    made.launch(JOB)
    run(JOB, made.ports)
    assert made.registry.metrics["labels"] == 60


def test_an_outage_is_tried_again():
    made = labelled()
    made.registry.failures = 1
    assert run(JOB, made.ports) is Outcome.PROMOTED


def test_a_worse_model_is_refused_and_tagged_with_the_reason():
    made = labelled(count=150, audit=50)
    run(JOB, made.ports)
    good = made.champions.current
    for index in range(50, 150):
        made.label(index, digits.CLASSES[(digits.labels()[index] + 1) % 10])
    made.launch("train-000002")
    assert run("train-000002", made.ports) is Outcome.REFUSED
    assert made.champions.current == good
    assert made.registry.aliases == {"champion": 1, "challenger": 2}
    assert "worse than the model in service" in made.registry.tags[2]["octospoon.reasons"]
    assert made.control.state().status is JobStatus.IDLE


def test_another_promotion_in_between_is_never_overwritten():
    made = labelled()
    run(JOB, made.ports)
    made.champions.claim("train-000002", 2)  # the job has its number, and dies
    newer = replace(made.champions.current, version=9)
    made.champions.set(newer)
    for index in range(60, 90):
        made.label(index, digits.CLASSES[digits.labels()[index]])
    made.launch("train-000002")
    assert run("train-000002", made.ports) is Outcome.REFUSED
    assert made.champions.current == newer


def test_a_stale_pointer_is_not_swapped():
    made = labelled()
    made.champions.promote = lambda pointer, etag: False
    with pytest.raises(Conflict):
        run(JOB, made.ports)
    assert "champion" not in made.registry.aliases


def test_missing_embedding_is_computed_and_a_changed_image_omitted():
    made = labelled()
    made.pool.table["0020.png"].prediction = None
    made.pool.table["0021.png"].etag = "other"
    made.images.objects["0021.png"] = (b"", "other")
    made.snapshots.write(JOB, [replace(row, etag=sound(made, row.key)) for row in made.labels.labelled()])
    run(JOB, made.ports)
    assert made.registry.metrics["labels"] == 59
    assert made.registry.metrics["dropped_labels"] == 1


def sound(made: World, key: str) -> str:
    """The ETag that the annotator saw."""
    return next(label.etag for label in made.labels.of(key))


def test_without_any_label_the_job_fails_with_the_reason():
    made = World()
    with pytest.raises(BadRequest, match="no label"):
        run(JOB, made.ports)
    assert "no label" in made.control.state().reason
    assert made.registry.ended == [False]
    assert made.registry.tags[1]["octospoon.outcome"] == "failed"


def test_running_job_is_left_alone_until_its_lease_expires():
    made = labelled()
    assert made.control.start(JOB, made.clock.now() + LEASE_SECONDS)
    with pytest.raises(Conflict):
        run(JOB, made.ports)
    made.clock.time += LEASE_SECONDS + 1
    assert run(JOB, made.ports) is Outcome.PROMOTED


def test_classes_without_labels_are_predicted_with_a_finite_probability(tmp_path):
    made = World()
    for index in [i for i in range(200) if digits.labels()[i] < 5]:
        made.label(index, digits.CLASSES[digits.labels()[index]])
    made.serve(starter())
    run(JOB, made.ports)
    scorer = OnnxScorer(made.champions.fetch(made.champions.current, tmp_path))
    image = scorer.preprocess(digits.png_bytes(0)).pixels[None]
    probabilities = scorer.predict(image)[0].probabilities
    assert (probabilities[5:] > 0).all()
    assert probabilities[5:].sum() < 0.01


class Archive:
    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.manifests = error, {}

    def commit(self, run_id: str, manifest: bytes) -> str:
        self.manifests[run_id] = manifest
        if self.error:
            raise self.error
        return "c0ffee"


def test_training_manifest_is_committed_and_its_commit_tagged():
    made, archive = labelled(), Archive()
    run(JOB, replace(made.ports, datasets=archive))
    assert archive.manifests == {f"run-{JOB}": made.registry.logged[1]["snapshot.jsonl"]}
    assert made.registry.tags[1]["octospoon.dataset_commit"] == "c0ffee"


def test_an_archive_that_fails_is_told_and_costs_no_model():
    made = labelled()
    archive = Archive(ServiceUnavailable("the archive does not answer"))
    assert run(JOB, replace(made.ports, datasets=archive)) is Outcome.PROMOTED
    assert made.registry.aliases == {"champion": 1}
    assert made.registry.tags[1]["octospoon.dataset_error"] == "the archive does not answer"
    assert made.registry.ended == [True]
    assert made.registry.alone == list(made.registry.runs.values()), "runs of jobs that died are closed"


def test_the_run_shows_its_mistakes_and_the_newest_round():
    made = labelled()
    picks = tuple(
        Pick(key, row.etag, rank % 5 == 0, "margin", None if rank % 5 == 0 else 0.5, rank, None)
        for rank, (key, row) in enumerate(list(made.pool.table.items())[:30])
    )
    made.rounds.begin(Round(1, "2026-01-31T10:00:00Z", 0, picks))
    run(JOB, made.ports)
    for name in ("mistakes.png", "round.png"):
        with Image.open(io.BytesIO(made.registry.logged[1][name])) as sheet:
            assert sheet.format == "PNG"
            assert sheet.width == 860


def test_mistakes_are_cross_validated_without_an_audit_share():
    made = labelled(audit=0)
    run(JOB, made.ports)
    assert "mistakes.png" in made.registry.logged[1]
    assert "round.png" not in made.registry.logged[1]


def test_images_that_cannot_be_made_cost_no_model(caplog):
    made = labelled()
    made.rounds.last_number = failing
    made.history.decision = failing
    assert run(JOB, made.ports) is Outcome.PROMOTED
    messages = " ".join(record.message for record in caplog.records)
    assert "the sheet of the newest round could not be made" in messages
    assert "the learning curve could not be made" in messages


def failing(*_: object) -> None:
    raise ServiceUnavailable("the table does not answer")


def test_the_run_names_its_data():
    made = labelled()
    run(JOB, made.ports)
    sha = sha256(made.registry.logged[1]["snapshot.jsonl"])
    assert made.registry.data[1] == TrainingData(JOB, f"s3://artifacts/snapshots/{JOB}.jsonl", sha, 60)
    assert made.registry.params["dataset_sha256"] == sha


def test_the_learning_curve_goes_over_all_versions():
    made = labelled(count=150, audit=50)
    run(JOB, made.ports)
    assert "versions.png" not in made.registry.logged[1]
    for index in range(150, 200):
        made.label(index, digits.CLASSES[digits.labels()[index]])
    made.launch("train-000002")
    made.control.now_state = replace(made.control.now_state, jobs=2)
    run("train-000002", made.ports)
    lines = made.registry.logged[2]["versions.csv"].decode().splitlines()
    assert [line.split(",")[:5] for line in lines[1:]] == [
        ["1", "train-000001", "yes", "150", "50"],
        ["2", "train-000002", "yes", "200", "50"],
    ]
    assert made.registry.logged[2]["versions.png"].startswith(b"\x89PNG")

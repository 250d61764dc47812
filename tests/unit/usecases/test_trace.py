from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.images import FakeVersions
from fakes.pool import FakeRecords
from fakes.training import FakeSnapshots
from fakes.world import FakeWorld

from octospoon.domain.errors import BadRequest, ServiceUnavailable
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, Pick, Round
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring.observations import ModelDecision
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.pool.keys import image_id
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.trace import StoredVersion, Trace
from octospoon.domain.trace.timeline import timeline
from octospoon.domain.training.jobs import TrainingState
from octospoon.usecases.trace import TraceImage

if TYPE_CHECKING:
    from octospoon.domain.task_types.task_type import TaskType

KEY = "a/1.png"
ROUND = "1970-01-12T13:46:50+00:00"
"""Ten seconds after the clock's first time."""


@dataclass
class FakeRuns:
    down: bool = False

    def of_version(self, version: int) -> str:
        if self.down:
            raise ServiceUnavailable("MLflow does not answer")
        return f"http://mlflow/{version}"


class World(FakeWorld):
    """One image in every stage: scored, re-scored, chosen, labelled, trained on, replaced."""

    def __init__(self, task_type: TaskType = CLASSIFICATION) -> None:
        super().__init__(task_type=task_type)
        self.versions, self.snapshots = FakeVersions(), FakeSnapshots()
        self.runs: FakeRuns | None = FakeRuns()
        self.failures: dict[str, str] = {}
        self.classes = ClassHistory(("cat", "dog", "owl"))
        self.control.now_state = TrainingState(jobs=2)
        self.champions.keep(ChampionPointer(1, "", "", "", classes=("cat", "dog")))

    def upload(self, etag: str, sequencer: str) -> ImageRef:
        self.versions.stored.setdefault(KEY, []).append(StoredVersion(etag, f"v-{etag}", self.clock.time, 5))
        self.clock.time += 1
        return ImageRef(KEY, etag, sequencer, 5)

    def score(self, image: ImageRef, version: int) -> None:
        probabilities = None if version == 0 else np.array([0.25, 0.75], np.float32)
        prediction = Prediction(version, "b", np.zeros(4, np.float32), probabilities, version)
        assert self.pool.put_score(image, prediction)
        self.clock.time += 1

    def choose(self, image: ImageRef) -> None:
        pick = Pick(KEY, image.etag, True, "random", None, 3, 0.125)
        self.clock.time = 1_000_010.0
        picks = (pick, replace(pick, key="another"))
        self.rounds.begin(Round(1, ROUND, 1, picks, notes=("a share is whole",)))
        self.pool.claim(pick, 1, 99.0)
        self.clock.time += 1
        self.pool.mark_exported(KEY, 1, 77)

    def annotate(self, number: int, label: str | None, *, deleted: bool = False) -> None:
        at = f"1970-01-12T13:47:{number:02d}.000000Z"
        etag = self.pool.table[KEY].etag
        self.labels.upsert(Annotation(KEY, etag, f"u{number}", number, at, "7", label, deleted=deleted))

    def resolve_label(self) -> None:
        self.clock.time = 1_000_050.0
        self.resolve(KEY, Consensus("dog", 0.5, 2))

    def train(self, job: str, *, promoted: bool, version: int) -> None:
        self.clock.time += 10
        self.snapshots.write(job, list(self.labels.labelled()))
        self.history.record(ModelDecision(job, version, promoted, ("so it is",), self.clock.time, {}))

    def trace(self, key: str = KEY) -> Trace:
        return TraceImage(
            FakeRecords(self.pool),
            self.versions,
            self.rounds,
            self.labels,
            self.control,
            self.history,
            self.snapshots,
            self.champions,
            self.runs,
            self.task_type,
            lambda task: f"http://labels/{task}",
            lambda image, since: self.failures.get(image, "") if since else "",
            lambda: self.classes,
        )(key)


def labelled() -> World:
    world = World()
    image = world.upload("e1", "10")
    world.score(image, 0)
    world.score(image, 1)
    world.choose(image)
    world.annotate(5, "dog")
    world.annotate(6, None)
    world.annotate(7, "cat", deleted=True)
    world.resolve_label()
    world.train("train-000001", promoted=True, version=2)
    return world


def test_scores_of_boxes_name_the_surest_one() -> None:
    world = World(DETECTION)
    image = world.upload("e1", "10")
    seen, nothing = np.zeros((2, 2, 6), np.float32)
    seen[0] = 0.1, 0.1, 0.4, 0.4, 0.25, 0.75
    for version, boxes in ((1, seen), (2, nothing)):
        world.champions.keep(ChampionPointer(version, "", "", "", classes=("cat", "dog")))
        prediction = Prediction(version, "b", np.zeros(4, np.float32), boxes, version)
        assert world.pool.put_score(image, prediction)

    (upload,) = world.trace().uploads

    assert [(score.label, score.confidence) for score in upload.scores] == [
        ("dog", 0.75),
        ("no objects", None),
    ]
    lines = [event.particulars for event in timeline(world.trace())]
    assert "by version 1: dog 75.0%" in lines
    assert "by version 2: no objects" in lines


def test_every_step_is_told_with_its_time() -> None:
    trace = labelled().trace()

    (upload,) = trace.uploads
    assert (upload.image, trace.image) == (image_id(KEY, "e1"), image_id(KEY, "e1"))
    assert (upload.at, upload.version_id, upload.replaced_at) == (1_000_000.0, "v-e1", None)
    scores = [(score.at, score.model_version, score.label, score.confidence) for score in upload.scores]
    assert scores == [(1_000_001.0, 0, None, None), (1_000_002.0, 1, "dog", 0.75)]
    (choice,) = trace.choices
    assert choice.notes == ("a share is whole",)
    assert (choice.at, choice.round_number, choice.pick.draw_probability) == (1_000_010.0, 1, 0.125)
    assert trace.export is not None
    assert (trace.export.at, trace.export.address) == (1_000_011.0, "http://labels/77")
    annotations = [(answer.number, answer.label, answer.deleted) for answer in trace.annotations]
    assert annotations == [(5, "dog", False), (6, None, False), (7, "cat", True)]
    assert trace.label is not None
    assert (trace.label.at, trace.label.label, trace.label.agreement) == (1_000_050.0, "dog", 0.5)
    (training,) = trace.trainings
    assert (training.job_id, training.part, training.outcome) == ("train-000001", "audit", "promoted")
    assert (training.at, training.run, training.etag) == (1_000_060.0, "http://mlflow/2", "e1")


def test_the_table_tells_it_in_order() -> None:
    lines = timeline(labelled().trace())

    steps = ["uploaded", "scored", "scored", "chosen", "exported", "annotated", "annotated", "annotated"]
    assert [line.what for line in lines] == [*steps, "label settled", "judged on"]
    texts = [line.particulars for line in lines]
    assert texts[2] == "by version 1: dog 75.0%"
    assert texts[3] == (
        "round 1, rank 3, random, drawn with probability 0.125, audit share, by version 1; a share is whole"
    )
    assert texts[6].startswith("no answer")
    assert texts[7].endswith("deleted since")


def test_what_an_answer_lacks_is_told() -> None:
    trace = labelled().trace()
    first, *others = trace.annotations
    noted = replace(first, note="2 with a box that has no area")

    lines = timeline(replace(trace, annotations=(noted, *others)))

    assert lines[5].particulars.startswith("dog, left out: 2 with a box that has no area, by annotator")


def test_new_bytes_begin_anew_and_the_old_story_stays() -> None:
    world = labelled()
    world.clock.time += 10
    world.score(world.upload("e2", "20"), 1)

    trace = world.trace()

    old, new = trace.uploads
    assert (old.etag, old.state, old.label, old.replaced_at) == ("e1", "labelled", "dog", 1_000_071.0)
    assert [score.model_version for score in old.scores] == [0, 1]
    assert (new.etag, new.at, len(new.scores), trace.state) == ("e2", 1_000_070.0, 1, "scored")
    assert (trace.label, trace.export, trace.image) == (None, None, image_id(KEY, "e2"))
    assert len(trace.annotations) == 3
    assert [training.etag for training in trace.trainings] == ["e1"]
    assert "by newer bytes; was labelled, dog, task 77" in [line.particulars for line in timeline(trace)]


def test_uploads_known_to_pool_or_bucket_alone_are_shown() -> None:
    world = labelled()
    first = world.versions.stored[KEY].pop()
    for i, etag in enumerate(("e1", "unseen")):
        world.versions.stored[KEY].append(replace(first, etag=etag, at=first.at + i))
    world.versions.stored[KEY].append(StoredVersion("", "gone", 1_000_099.0, deleted=True))
    world.pool.table[KEY].etag = "of a version that was expired"

    trace = world.trace()

    expired, again, unseen = trace.uploads
    assert (expired.at, len(expired.scores)) == (None, 2)
    assert (again.scores, again.sequencer, unseen.scores) == ((), "", ())
    assert trace.deletions == (1_000_099.0,)


def test_an_image_in_quarantine_says_why() -> None:
    world = World()
    world.pool.put_quarantine(world.upload("e1", "10"), "truncated", "cut off at byte 100")

    trace = world.trace()

    assert (trace.state, trace.reason, trace.detail) == ("quarantined", "truncated", "cut off at byte 100")
    assert [(line.at, line.what) for line in timeline(trace)] == [
        (1_000_000.0, "uploaded"),
        (1_000_001.0, "quarantine"),
    ]


def test_what_was_chosen_because_it_drifted_says_so() -> None:
    world = World()
    image = world.upload("e1", "10")
    world.score(image, 1)
    pick = Pick(KEY, image.etag, False, "drift", 0.25, 3, None)
    world.rounds.begin(Round(1, ROUND, 4, (pick,)))

    (particulars,) = [line.particulars for line in timeline(world.trace()) if line.what == "chosen"]

    assert particulars == "round 1, rank 3, drift, score 0.2500, by version 4"


def test_refusal_and_running_job_are_reported() -> None:
    world = labelled()
    world.train("train-000002", promoted=False, version=3)
    del world.history.decisions["train-000001"]

    running, refused = world.trace().trainings

    assert (running.outcome, running.run, running.model_version) == ("", "", None)
    assert (refused.outcome, refused.model_version) == ("refused: so it is", 3)


def test_without_the_tracker_all_the_rest_is_told() -> None:
    world = labelled()
    world.runs = FakeRuns(down=True)

    trace = world.trace()
    world.runs = None

    assert [training.run for training in trace.trainings] == [""]
    assert trace.notes == ("the addresses of the runs are unknown: MLflow does not answer",)
    assert world.trace() == replace(trace, notes=())


def test_what_is_not_in_the_pool_says_what_to_do() -> None:
    world = World()
    with pytest.raises(BadRequest, match="give the whole object key"):
        world.trace()
    world.upload("e1", "10")
    with pytest.raises(BadRequest, match="octospoon reconcile --full"):
        world.trace()
    world.versions.stored[KEY].append(StoredVersion("", "gone", 1_000_099.0, deleted=True))
    with pytest.raises(BadRequest, match="upload it again"):
        world.trace()


def test_reason_is_shown_for_an_image_without_score() -> None:
    world = World()
    image = world.upload("first", "01")

    with pytest.raises(BadRequest, match="is not scored yet"):
        world.trace()
    world.failures[image_id(KEY, image.etag)] = "ServiceUnavailable: no model"
    with pytest.raises(BadRequest, match="could not be scored: ServiceUnavailable: no model"):
        world.trace()


def test_an_upload_is_known_by_the_buckets_etag_too() -> None:
    world = World()
    image = world.upload("in-parts-2", "01")
    world.score(replace(image, etag="md5", object_etag="in-parts-2"), 1)

    (upload,) = world.trace().uploads

    assert (upload.etag, upload.object_etag, upload.version_id) == ("md5", "in-parts-2", "v-in-parts-2")


def test_every_class_has_its_present_name() -> None:
    world = labelled()
    world.classes = world.classes.rename("dog", "hound", 1.0).merge(["cat", "owl"], "pet", 2.0)
    world.score(world.upload("e2", "20"), 1)

    trace = world.trace()

    replaced, _ = trace.uploads
    assert [score.label for score in replaced.scores] == [None, "hound"]
    assert replaced.label == "hound"
    assert [answer.label for answer in trace.annotations] == ["hound", None, "cat"]
    assert [training.label for training in trace.trainings] == ["hound"]
    assert trace.notes == ("cat is merged into pet",)
    text = " ".join(event.particulars for event in timeline(trace))
    assert "hound" in text
    assert "dog" not in text


def test_settled_label_of_a_retired_class_is_named_as_such() -> None:
    world = labelled()
    world.classes = world.classes.rename("dog", "hound", 1.0).retire(["hound"], 2.0)

    trace = world.trace()

    assert trace.label is not None
    assert trace.label.label == "hound"
    assert trace.notes == ("hound is retired",)

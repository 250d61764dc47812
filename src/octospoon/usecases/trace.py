"""Trace one image through the system, from data that is stored anyway.

Only the image's row (`ImageRecord`) has data that is written for this. The rest comes from the bucket's
versions, the rounds, the annotations and the jobs' snapshots, which are kept for ever.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest, OctospoonError
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.pool.images import State
from octospoon.domain.pool.keys import image_id, is_folder_marker
from octospoon.domain.pool.score_history import PreviousUpload
from octospoon.domain.task_types.detection.label import EMPTY
from octospoon.domain.trace import (
    Choice,
    Export,
    Label,
    SeenScore,
    Trace,
    Training,
    Upload,
    with_names_of_now,
)
from octospoon.domain.training.policy import numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.monitoring.observations import ModelDecision
    from octospoon.domain.pool.score_history import Score
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.domain.trace import ImageRecord, StoredVersion
    from octospoon.ports.images import ObjectVersions
    from octospoon.ports.labelling import Labels, Rounds
    from octospoon.ports.models import Champions, ModelHistory
    from octospoon.ports.pool import ImageRecords
    from octospoon.ports.training import Control, RunAddresses, Snapshots

_AT_ONCE = 12
_WITH_ANNOTATORS = (State.EXPORTED, State.LABELLED)


@dataclass(frozen=True, slots=True)
class TraceImage:
    """The use case.

    Attributes:
        records: the images' records in the pool.
        bucket: the versions of the images.
        rounds: the labelling rounds.
        labels: the annotations.
        control: the number of training jobs.
        history: the gate's decisions.
        snapshots: the training data of each job.
        champions: the model versions and their classes.
        runs: the addresses of runs in the experiment tracker; None without a tracker.
        task_type: the kind of label.
        task_address: gives the address of a task in Label Studio.
        failure: gives the newest error that scoring logged for an image id since a time; empty for none.
        classes: the project's classes, whose present names are shown.
    """

    records: ImageRecords
    bucket: ObjectVersions
    rounds: Rounds
    labels: Labels
    control: Control
    history: ModelHistory
    snapshots: Snapshots
    champions: Champions
    runs: RunAddresses | None
    task_type: TaskType
    task_address: Callable[[int], str]
    failure: Callable[[str, float], str] = lambda _image, _since: ""
    classes: Callable[[], ClassHistory] = ClassHistory

    def __call__(self, key: str) -> Trace:
        """Return the trace of one image.

        Raises:
            BadRequest: there is no image with this key, or it is not scored yet; the error says what to do.
            RetryableError: AWS does not answer.
        """
        versions = self.bucket.versions(key)
        record = self.records.record(key)
        if record is None:
            raise BadRequest(self._unknown(key, versions))
        trainings, notes = self._trainings(key)
        trace = Trace(
            key=key,
            image=image_id(key, record.etag),
            state=record.state,
            uploads=self._uploads(record, versions),
            deletions=tuple(version.at for version in versions if version.deleted),
            choices=self._choices(key),
            export=self._export(record),
            annotations=tuple(sorted(self.labels.of(key), key=lambda annotation: annotation.updated_at)),
            label=_label(record),
            reason=record.reason,
            detail=record.detail,
            quarantined_at=record.quarantined_at,
            trainings=trainings,
            notes=notes,
        )
        return with_names_of_now(trace, self.task_type.labels, self.classes())

    def _unknown(self, key: str, versions: Sequence[StoredVersion]) -> str:
        if not versions:
            return (
                f"there is no image {key!r}: give the whole object key as the bucket lists it, in the same "
                "case, without s3:// and the bucket's name"
            )
        newest = versions[-1]
        if newest.deleted:
            return f"{key!r} was deleted from the bucket before it was scored: upload it again"
        if is_folder_marker(key, newest.size):
            return f"{key!r} has no bytes: it only marks a folder and is no image"
        if failure := self.failure(image_id(key, newest.etag), newest.at):
            return (
                f"{key!r} is in the bucket and could not be scored: {failure}. It is tried again; "
                "`octospoon dlq list` shows what failed for good"
            )
        return (
            f"{key!r} is in the bucket and is not scored yet: `octospoon status` shows the queues and the "
            "dead letters. If they are empty, its event was lost, and `octospoon reconcile --full` queues it "
            "again"
        )

    def _export(self, record: ImageRecord) -> Export | None:
        if not record.task_id or record.state not in _WITH_ANNOTATORS:
            return None
        return Export(record.exported_at, record.task_id, self.task_address(record.task_id))

    def _uploads(self, record: ImageRecord, versions: Sequence[StoredVersion]) -> tuple[Upload, ...]:
        """Return the uploads of the bucket and the pool, joined."""
        classes: dict[int, tuple[str, ...]] = {}
        seen = [self._known(record.key, upload, classes) for upload in record.previous_uploads]
        seen.append(self._known(record.key, record, classes))
        return _joined(record.key, seen, [version for version in versions if not version.deleted])

    def _known(
        self, key: str, stored: PreviousUpload | ImageRecord, classes: dict[int, tuple[str, ...]]
    ) -> Upload:
        return Upload(
            image_id(key, stored.etag),
            stored.etag,
            None,
            sequencer=stored.sequencer,
            scores=self._seen(stored.scores, classes),
            state=stored.state,
            replaced_at=stored.replaced_at if isinstance(stored, PreviousUpload) else None,
            task_id=stored.task_id,
            label=stored.label,
            reason=stored.reason,
            object_etag=stored.object_etag,
        )

    def _seen(self, scores: Sequence[Score], classes: dict[int, tuple[str, ...]]) -> tuple[SeenScore, ...]:
        for version in {score.model_version for score in scores} - classes.keys():
            pointer = self.champions.version(version)
            classes[version] = pointer.classes if pointer else ()
        return tuple(
            SeenScore(
                score.at,
                score.model_version,
                score.generation,
                _name(score, classes[score.model_version]),
                score.confidence or None,
            )
            for score in scores
        )

    def _choices(self, key: str) -> tuple[Choice, ...]:
        choices = []
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for round_ in threads.map(self.rounds.read, range(1, self.rounds.last_number() + 1)):
                for pick in round_.picks if round_ else ():
                    if round_ and pick.key == key:
                        at = datetime.fromisoformat(round_.created_at).timestamp()
                        choices.append(Choice(round_.number, at, round_.model_version, pick, round_.notes))
        return tuple(choices)

    def _trainings(self, key: str) -> tuple[tuple[Training, ...], tuple[str, ...]]:
        jobs = [numbered(job) for job in range(1, self.control.state().jobs + 1)]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            images = threads.map(lambda job: self.snapshots.find(job, key), jobs)
            used = [(job, image) for job, image in zip(jobs, images, strict=True) if image is not None]
        decided = {job: self.history.decision(job) for job, _ in used}
        addresses, notes = self._addresses([decision.version for decision in decided.values() if decision])
        return tuple(self._training(job, image, decided[job], addresses) for job, image in used), notes

    def _training(
        self, job: str, image: LabelledImage, decided: ModelDecision | None, addresses: dict[int, str]
    ) -> Training:
        part = "audit" if image.audit else "train"
        training = Training(job, self.snapshots.uri(job), part, image.label, image.etag)
        if decided is None:
            return training
        return replace(
            training,
            at=decided.decided_at,
            model_version=decided.version,
            outcome="promoted" if decided.promoted else f"refused: {'; '.join(decided.reasons)}",
            run=addresses.get(decided.version, ""),
        )

    def _addresses(self, versions: Sequence[int]) -> tuple[dict[int, str], tuple[str, ...]]:
        """Return the runs' addresses, and why there are none: the rest of the trace needs no tracker."""
        if self.runs is None or not versions:
            return {}, ()
        try:
            return {version: self.runs.of_version(version) for version in versions}, ()
        except OctospoonError as error:
            return {}, (f"the addresses of the runs are unknown: {error}",)


def _name(score: Score, classes: Sequence[str]) -> str | None:
    if score.top_class is None:
        return None
    if not score.confidence:
        return EMPTY  # only a detector gives no class any confidence
    return classes[score.top_class] if score.top_class < len(classes) else f"class {score.top_class}"


def _label(record: ImageRecord) -> Label | None:
    if record.label is None:
        return None
    return Label(record.labelled_at, record.label, record.agreement, record.annotators)


def _joined(key: str, seen: Sequence[Upload], versions: Sequence[StoredVersion]) -> tuple[Upload, ...]:
    """Return every upload that the bucket or the pool has, oldest first.

    The same bytes may have been uploaded more than once, and the pool may not have seen each time. The pool's
    data goes to the newest upload of these bytes that has none yet.
    """
    unmatched = list(seen)
    joined = []
    for version in reversed(versions):
        own = next(
            (upload for upload in reversed(unmatched) if version.etag in (upload.etag, upload.object_etag)),
            None,
        )
        if own is not None:
            unmatched.remove(own)
        joined.append(_upload(key, version, own))
    return (*unmatched, *reversed(joined))


def _upload(key: str, version: StoredVersion, own: Upload | None) -> Upload:
    if own is None:
        return Upload(image_id(key, version.etag), version.etag, version.at, version.version_id)
    return replace(own, at=version.at, version_id=version.version_id)

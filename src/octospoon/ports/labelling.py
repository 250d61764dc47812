"""Labels, labelling rounds, and the annotation tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from octospoon.domain.pool.keys import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from octospoon.domain.labelling.answers import Answer, UncountedAnswers
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.consensus import Consensus
    from octospoon.domain.labelling.tasks import (
        Annotation,
        Guess,
        LabelledImage,
        LabelState,
        Round,
        Task,
        TaskCounts,
    )


class Labels(Protocol):
    """The annotations, and the labels that follow from them."""

    def upsert(self, annotation: Annotation) -> bool:
        """Store an annotation unless a newer version of it is stored; return True if anything changed."""

    def find(self, number: int, project: str) -> Annotation | None:
        """Return the newest stored version of annotation `number` of a project (see `project_name`)."""

    def of(self, key: str) -> list[Annotation]:
        """Return every stored annotation of an image, deleted ones included."""

    def replace(self, before: Annotation, annotation: Annotation) -> bool:
        """Replace the stored version `before`, even a deleted version; return False if it has changed."""

    def keys(self, after: str, limit: int) -> tuple[list[str], str]:
        """Return a page of the keys of images with stored annotations, and the position where it ends.

        Pass that position as `after` to get the next page. It is empty at the end of the table.
        """

    def label_state(self, key: str) -> LabelState | None:
        """Return the state of an image's label, or None if the image is missing or in quarantine."""

    def resolve_label(self, before: LabelState, agreed: Consensus) -> int:
        """Store the agreed label, or remove it, and adjust the counter of new labels in one transaction.

        Returns:
            +1 if the image became labelled, -1 if it lost its label, 0 otherwise.

        Raises:
            Conflict: the image has changed since `before` was read; read it again and retry.
        """

    def uncounted(self, examples: int) -> UncountedAnswers:
        """Count the answers that yield no label, by problem, with up to `examples` answers of each."""

    def labelled(self) -> Iterator[LabelledImage]:
        """Yield every labelled image with its class now, ordered by key; none of a retired class."""


class ClassRecord(Protocol):
    """The project's classes and the history of their changes."""

    def read(self) -> ClassHistory:
        """Return the project's classes and their changes."""

    def save(self, before: ClassHistory, history: ClassHistory) -> bool:
        """Replace `before`; return False if it has been replaced already."""

    def labels(self) -> Mapping[str, int]:
        """Return the number of training labels of each class at the newest training job."""

    def keep_labels(self, labels: Mapping[str, int]) -> None:
        """Store the number of training labels of each class."""


class Rounds(Protocol):
    """The labelling rounds. Each round is kept forever."""

    def open(self) -> Round | None:
        """Return the round whose export has not finished, or None."""

    def read(self, number: int) -> Round | None:
        """Return a round by its number, or None if there is no such round."""

    def last_number(self) -> int:
        """Return the number of the newest round, 0 before the first."""

    def begin(self, round_: Round) -> Round:
        """Store a new round as the open round; if another run was first, return its round instead."""

    def acquire(self, number: int, now: float, until: float) -> bool:
        """Acquire the lease on exporting the open round; return False if another run holds it.

        Args:
            number: of the round.
            now: epoch seconds.
            until: epoch seconds at which the lease ends.
        """

    def release(self, number: int, until: float) -> None:
        """Release the lease on exporting the round, if nothing is on its way to Label Studio."""

    def acquire_predictions(self, now: float, until: float) -> bool:
        """Acquire the lease on adding predictions to tasks; return False if another run holds it."""

    def release_predictions(self, until: float, sent: str = "") -> None:
        """Release the lease on adding predictions, if none is on its way to Label Studio.

        Args:
            until: epoch seconds at which the lease would end; only its holder knows them.
            sent: names the state in which every open task has the prediction that it can have; empty for
                none.
        """

    def predictions_sent(self) -> str:
        """Return the newest state in which every open task had its prediction; empty for none."""

    def close(self, number: int) -> None:
        """Mark a round as exported."""


class TaskBody(msgspec.Struct, frozen=True):
    """The part of a Label Studio task that octospoon reads."""

    id: int
    data: dict[str, Any]

    @property
    def key(self) -> str:
        """The object key of the image; empty for a task that octospoon did not create."""
        key = self.data.get("key")
        return key if isinstance(key, str) and len(key.encode()) <= KEY_BYTES else ""

    @property
    def etag(self) -> str:
        """The ETag of the bytes that the task was made for."""
        return str(self.data.get("etag", ""))


class AnnotationBody(msgspec.Struct, frozen=True):
    """The part of a Label Studio annotation that octospoon reads; a deletion has only the id."""

    id: int
    unique_id: str = ""
    updated_at: str = ""
    task: int = 0
    completed_by: int | None = None
    was_cancelled: bool = False
    result: list[Any] | None = None
    left_out: int = 0
    """Shapes and relations of the result that are no part of a label."""


class Message(msgspec.Struct, frozen=True):
    """The message from `webhook` to `collect`."""

    action: str
    project: int
    annotations: list[AnnotationBody]
    tasks: list[TaskBody]
    project_created_at: str = ""


class AnswerReader(Protocol):
    """Reads the result of an annotation."""

    def __call__(self, result: Sequence[Any] | None, classes: ClassHistory) -> Answer:
        """Return the class that the result of a submitted annotation names, or why it names none.

        Args:
            result: as the annotation tool stores it, or reduced to what decides its class.
            classes: the classes of the project, with their earlier names.
        """


class AnnotatedTask(TaskBody, frozen=True):
    """A Label Studio task with all its annotations."""

    annotations: list[AnnotationBody]


class PredictedTask(TaskBody, frozen=True):
    """A Label Studio task, and the model versions of its predictions."""

    versions: list[str]


class Labeler(Protocol):
    """The annotation tool, Label Studio."""

    def find(self, etags: Mapping[str, str]) -> dict[str, int]:
        """Return the task ids by key of the images that have a task for these bytes (`etags` by key)."""

    def tasks_of(self, keys: Sequence[str]) -> list[AnnotatedTask]:
        """Return every task of these images, for any of their versions, with its annotations."""

    def delete(self, task_id: int) -> bool:
        """Delete a task unless somebody has begun to answer it; return True if it is gone."""

    def create(self, tasks: Sequence[Task]) -> dict[str, int]:
        """Create tasks with their predictions, without retrying; return their ids by key.

        A prediction is left out if the labelling interface does not offer its class.

        Raises:
            NotConfigured: octospoon cannot read the annotations of this labelling interface.
        """

    def task_counts(self, since: float = 0.0) -> TaskCounts:
        """Count the tasks by state.

        Args:
            since: epoch seconds; older unanswered tasks count as abandoned. 0 for none.
        """

    def not_ours(self, limit: int) -> list[TaskBody]:
        """Return up to `limit` tasks that octospoon did not create, by ascending id."""

    def changed(self, since: float, after: int, limit: int) -> list[TaskBody]:
        """Return up to `limit` tasks that changed since a time, by ascending id.

        A new, changed or deleted annotation changes its task.

        Args:
            since: epoch seconds; 0 for every task.
            after: only tasks with a higher id.
            limit: the maximum number of tasks; fewer does not mean the end.
        """

    def waiting(self, after: int, limit: int, since: float = 0.0) -> list[TaskBody]:
        """Return up to `limit` tasks that nobody has answered or skipped, by ascending id.

        Args:
            after: only tasks with a higher id.
            limit: the maximum number of tasks.
            since: epoch seconds; only tasks created since then.
        """

    def project(self) -> str:
        """Return the name of the project; see `project_name`."""

    def has(self, annotation: Annotation) -> bool:
        """Return True if an annotation still exists."""


class ShownPredictions(Protocol):
    """The predictions of the open tasks, and the version that annotators see."""

    def version(self) -> str:
        """Return the model version whose predictions Label Studio shows and sorts by."""

    def show(self, version: str) -> bool:
        """Let Label Studio show and sort by the predictions of this version.

        Return False if no task has a prediction of it. Label Studio refuses such a version.
        """

    def tasks(self, after: int, limit: int) -> list[PredictedTask]:
        """Return up to `limit` unanswered tasks with predictions, with ids above `after`, by ascending id.

        This includes skipped tasks, and excludes tasks without a prediction, such as blind ones.
        """

    def add(self, guesses: Sequence[Guess], version: str) -> None:
        """Add predictions to existing tasks, without retrying; answers and drafts stay.

        A prediction is left out if the labelling interface does not offer its class.
        """

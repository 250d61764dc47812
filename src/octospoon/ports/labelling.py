"""Labels, rounds, and the tool in which annotators work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from octospoon.domain.pool.keys import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from octospoon.domain.labelling.answers import UncountedAnswers
    from octospoon.domain.labelling.consensus import Consensus
    from octospoon.domain.labelling.reconciliation import TaskSync
    from octospoon.domain.labelling.removals import Proposal
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
    """What annotators said, and the label that follows from it."""

    def upsert(self, annotation: Annotation) -> bool:
        """Store an annotation unless a newer version of it is stored; say whether anything changed."""

    def find(self, number: int, project: str) -> Annotation | None:
        """Return the newest stored version of annotation `number` of a project (see `project_name`)."""

    def of(self, key: str) -> list[Annotation]:
        """Return every stored annotation of an image, deleted ones included."""

    def replace(self, before: Annotation, annotation: Annotation) -> bool:
        """Store what Label Studio says now over a stored version, unless that one has changed meanwhile.

        The one way back for an annotation that was taken for deleted.
        """

    def keys(self, after: str, limit: int) -> tuple[list[str], str]:
        """Page through the images that have stored annotations; return their keys, and where the page ends.

        That end is what comes next as `after`, and empty at the end of the table.
        """

    def label_state(self, key: str) -> LabelState | None:
        """Return where an image stands, None where there is no such image or it is in quarantine."""

    def resolve_label(self, before: LabelState, agreed: Consensus) -> int:
        """Make this the image's label and adjust the counter of new labels, in one transaction.

        Returns:
            +1 if the image became labelled, -1 if it ceased to be, 0 otherwise.

        Raises:
            Conflict: the image is no longer as it was in `before`; read again and retry.
        """

    def uncounted(self, examples: int) -> UncountedAnswers:
        """Count the answers that do not count, of images without a label; name up to so many of each kind."""

    def labelled(self) -> Iterator[LabelledImage]:
        """Yield every labelled image, ordered by key."""


class Rounds(Protocol):
    """The labelling batches, each kept for ever."""

    def open(self) -> Round | None:
        """Return the round that was chosen but not yet wholly exported."""

    def read(self, number: int) -> Round | None:
        """Return a round by its number, None where there is no such."""

    def last_number(self) -> int:
        """Return the number of the newest round, 0 before the first."""

    def begin(self, round_: Round) -> Round:
        """Store a new round as the open one; where another was first, return that one instead."""

    def acquire(self, number: int, now: float, until: float) -> bool:
        """Become the only one who exports an open round until then; False where somebody else is."""

    def release(self, number: int, until: float) -> None:
        """Let others export the round at once: nothing of it is on its way to Label Studio."""

    def acquire_predictions(self, now: float, until: float) -> bool:
        """Become the only one who adds predictions to tasks until then; False where somebody else is."""

    def release_predictions(self, until: float) -> None:
        """Let others add predictions at once: none is on its way to Label Studio."""

    def close(self, number: int) -> None:
        """Mark a round as exported."""


class TaskBody(msgspec.Struct, frozen=True):
    """The part of a Label Studio task that counting needs."""

    id: int
    data: dict[str, Any]

    @property
    def key(self) -> str:
        """The object key of the image; empty for a task that is not ours."""
        key = self.data.get("key")
        return key if isinstance(key, str) and len(key.encode()) <= KEY_BYTES else ""

    @property
    def etag(self) -> str:
        """The ETag of the bytes that the task was made for."""
        return str(self.data.get("etag", ""))


class AnnotationBody(msgspec.Struct, frozen=True):
    """The part of a Label Studio annotation that counting needs; a deletion carries the id alone."""

    id: int
    unique_id: str = ""
    updated_at: str = ""
    task: int = 0
    completed_by: int | None = None
    was_cancelled: bool = False
    result: list[Any] | None = None


class AnnotatedTask(TaskBody, frozen=True):
    """A Label Studio task with all its annotations."""

    annotations: list[AnnotationBody]


class PredictedTask(TaskBody, frozen=True):
    """A Label Studio task, and the versions that predicted it."""

    versions: list[str]


class Labeler(Protocol):
    """Label Studio."""

    def find(self, etags: Mapping[str, str]) -> dict[str, int]:
        """Return by key the task of every image that has one for these very bytes (etags by key)."""

    def tasks_of(self, keys: Sequence[str]) -> list[AnnotatedTask]:
        """Return every task of these images, of any of their bytes, with its annotations."""

    def delete(self, task_id: int) -> bool:
        """Delete a task unless somebody has begun to answer it; say whether it is gone."""

    def create(self, tasks: Sequence[Task], model_version: str) -> dict[str, int]:
        """Create tasks with predictions, once and without retrying; return their ids by key.

        Predictions that the labelling interface does not offer are left out.

        Raises:
            NotConfigured: the labelling interface is not ours: no annotation would count.
        """

    def task_counts(self, since: float = 0.0) -> TaskCounts:
        """Count the tasks by what is to be expected of them.

        Args:
            since: epoch seconds; unanswered tasks made before are abandoned, none where it is 0.
        """

    def not_ours(self, limit: int) -> list[TaskBody]:
        """Return up to `limit` tasks that octospoon did not make, by ascending id."""

    def changed(self, since: float, after: int, limit: int) -> list[TaskBody]:
        """Return up to `limit` tasks that changed since then, by ascending id.

        A new, changed or deleted annotation changes its task.

        Args:
            since: epoch seconds; 0 for every task.
            after: only tasks of a higher id.
            limit: the most tasks to return; fewer does not mean that there are no more.
        """

    def waiting(self, after: int, limit: int, since: float = 0.0) -> list[TaskBody]:
        """Return up to `limit` tasks that nobody has answered or skipped, by ascending id.

        Args:
            after: only tasks of a higher id.
            limit: the most tasks to return.
            since: epoch seconds; only tasks made since then.
        """

    def project(self) -> str:
        """Return the name of the project, see `project_name`."""

    def has(self, annotation: Annotation) -> bool:
        """Say whether an annotation is still there."""


class ShownPredictions(Protocol):
    """The predictions of the open tasks, and which of them annotators see."""

    def version(self) -> str:
        """Return the version whose predictions Label Studio shows and sorts by."""

    def show(self, version: str) -> bool:
        """Make this the version whose predictions Label Studio shows and sorts by.

        False where no task has a prediction of it: Label Studio takes no such version.
        """

    def tasks(self, after: int, limit: int) -> list[PredictedTask]:
        """Return up to `limit` unanswered tasks with predictions, of ids above `after`, by ascending id.

        Skipped ones are among them. A task without a prediction, such as one that is to show none, is not.
        """

    def add(self, guesses: Sequence[Guess], version: str) -> None:
        """Add predictions to tasks that exist, once and without retrying; answers and drafts stay.

        Predictions that the labelling interface does not offer are left out.
        """


class MissingAnnotations(Protocol):
    """What walks found missing in Label Studio, page by page."""

    def add(self, walk: str, page: str, annotations: Sequence[Annotation]) -> None:
        """Keep what is missing of one page; a page that was kept before stays as it is."""

    def of(self, walk: str) -> list[Annotation]:
        """Return everything that is missing after a walk, in the order of keys."""


class Proposals(Protocol):
    """The mass removal that waits for a person."""

    def read(self) -> Proposal:
        """Return the newest proposal, an empty one where nothing waits."""

    def save(self, before: Proposal, proposal: Proposal) -> bool:
        """Replace `before`; False where somebody else has replaced or accepted it already."""


class TaskSyncs(Protocol):
    """How far Label Studio's tasks have been compared with what is stored."""

    def read(self) -> TaskSync:
        """Return the newest task sync."""

    def save(self, before: TaskSync, sync: TaskSync) -> bool:
        """Replace `before`; False where somebody else has replaced it already."""

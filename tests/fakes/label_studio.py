"""A Label Studio project in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fakes.clock import FakeClock
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.tasks import Annotation, Guess, Task, TaskCounts
from octospoon.ports.labelling import AnnotatedTask, AnnotationBody, PredictedTask, TaskBody

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class FakeLabeler:
    tasks: dict[int, Task] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)
    model_version: str = ""
    lose_answers: int = 0
    clock: FakeClock = field(default_factory=FakeClock)
    annotations: dict[int, list[AnnotationBody]] = field(default_factory=dict)
    changed_at: dict[int, float] = field(default_factory=dict)
    made_at: dict[int, float] = field(default_factory=dict)
    predictions: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    down: bool = False
    name: str = "1 of 2026-01-01T00:00:00Z"
    calls: list[tuple[float, int]] = field(default_factory=list)

    def find(self, etags: Mapping[str, str]) -> dict[str, int]:
        tasks = sorted(self.tasks.items(), reverse=True)
        return {task.key: id_ for id_, task in tasks if etags.get(task.key) == task.etag}

    def tasks_of(self, keys: Sequence[str]) -> list[AnnotatedTask]:
        return [self._annotated(id_) for id_, task in self.tasks.items() if task.key and task.key in keys]

    def delete(self, task_id: int) -> bool:
        if self.annotations.get(task_id):
            return False
        self.tasks.pop(task_id, None)
        return True

    def create(self, tasks: Sequence[Task]) -> dict[str, int]:
        created = {}
        for task in tasks:
            id_ = max(self.tasks, default=0) + 1  # SQLite reuses the highest id when its row was deleted
            self.tasks[id_] = task
            self.changed_at[id_] = self.made_at[id_] = self.clock.now()
            self.predictions[id_] = [(task.version, task.label)] if task.label else []
            created[task.key] = id_
        if self.lose_answers:
            self.lose_answers -= 1
            raise ServiceUnavailable("the answer was lost, the tasks were created")
        return created

    def task_counts(self, since: float = 0.0) -> TaskCounts:
        ours = [id_ for id_, task in self.tasks.items() if task.key and task.etag]
        waiting = [id_ for id_ in ours if self._unanswered(id_) and id_ not in self.answered]
        old = [id_ for id_ in waiting if self.made_at.get(id_, self.clock.now()) < since]
        not_ours = [id_ for id_ in self.tasks if id_ not in ours]
        return TaskCounts(
            waiting=len(waiting) - len(old),
            skipped=sum(self._skipped(id_) for id_ in ours),
            abandoned=len(old),
            not_ours=len(not_ours),
            not_ours_answered=sum(not self._unanswered(id_) and not self._skipped(id_) for id_ in not_ours),
        )

    def not_ours(self, limit: int) -> list[TaskBody]:
        ids = [id_ for id_, task in sorted(self.tasks.items()) if not (task.key and task.etag)]
        return [self._annotated(id_) for id_ in ids[:limit]]

    def _unanswered(self, id_: int) -> bool:
        return not self.annotations.get(id_)

    def _skipped(self, id_: int) -> bool:
        bodies = self.annotations.get(id_, [])
        return bool(bodies) and all(body.was_cancelled for body in bodies)

    def annotate(self, id_: int, *annotations: AnnotationBody) -> None:
        self.annotations[id_] = list(annotations)
        self.changed_at[id_] = self.clock.now()

    def changed(self, since: float, after: int, limit: int) -> list[TaskBody]:
        self.calls.append((since, after))
        if self.down:
            raise ServiceUnavailable("Label Studio does not answer")
        ids = [id_ for id_ in sorted(self.tasks) if id_ > after and self.changed_at.get(id_, 0) >= since]
        return [self._annotated(id_) for id_ in ids[:limit]]

    def waiting(self, after: int, limit: int, since: float = 0.0) -> list[TaskBody]:
        ids = [
            id_
            for id_ in sorted(self.tasks)
            if id_ > after and self._unanswered(id_) and id_ not in self.answered
            if self.made_at.get(id_, self.clock.now()) >= since
        ]
        return [self._annotated(id_) for id_ in ids[:limit]]

    def _annotated(self, id_: int) -> AnnotatedTask:
        task = self.tasks[id_]
        data = {"key": task.key, "etag": task.etag} if task.key else {}
        return AnnotatedTask(id_, data, list(self.annotations.get(id_, ())))

    def project(self) -> str:
        return self.name

    def has(self, annotation: Annotation) -> bool:
        bodies = [body for task_bodies in self.annotations.values() for body in task_bodies]
        return any(body.unique_id == annotation.annotation_id for body in bodies)


@dataclass
class FakePredictions:
    labeler: FakeLabeler
    lose_answers: int = 0

    def version(self) -> str:
        return self.labeler.model_version

    def show(self, version: str) -> bool:
        versions = (name for given in self.labeler.predictions.values() for name, _ in given)
        if version not in versions:
            return False
        self.labeler.model_version = version
        return True

    def tasks(self, after: int, limit: int) -> list[PredictedTask]:
        labeler = self.labeler
        ids = [
            id_
            for id_ in sorted(labeler.tasks)
            if id_ > after and labeler.predictions.get(id_)
            if labeler._unanswered(id_) or labeler._skipped(id_)
        ]
        return [self._task(id_) for id_ in ids[:limit]]

    def _task(self, id_: int) -> PredictedTask:
        task = self.labeler.tasks[id_]
        versions = [version for version, _ in self.labeler.predictions[id_]]
        return PredictedTask(id_, {"key": task.key, "etag": task.etag}, versions)

    def add(self, guesses: Sequence[Guess], version: str) -> None:
        for guess in guesses:
            self.labeler.predictions[guess.task].append((version, guess.label))
        if self.lose_answers:
            self.lose_answers -= 1
            raise ServiceUnavailable("the answer was lost, the predictions were added")

"""The ports of a training job in memory: its state, launcher, snapshots and registry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import Refused, ServiceUnavailable
from octospoon.domain.pool import keys as hashes
from octospoon.domain.training.jobs import JobSettings, JobStatus, TrainingState
from octospoon.ports.training import ModelRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fakes.clock import FakeClock
    from octospoon.domain.errors import OctospoonError
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.training.backbone_change import BackboneChange
    from octospoon.domain.training.jobs import Fate
    from octospoon.ports.training import TrainingData


@dataclass
class FakeControl:
    clock: FakeClock
    now_state: TrainingState = field(default_factory=TrainingState)

    def change(self, delta: int, counted_in: int) -> int:
        """Change the count of labels by one; return the image's new `counted_in`."""
        state = self.now_state
        amount = delta if delta > 0 or counted_in >= state.since else 0
        self.now_state = replace(state, new_labels=state.new_labels + amount)
        return state.jobs if delta > 0 else -1

    def state(self) -> TrainingState:
        return self.now_state

    def begin(
        self,
        before: TrainingState,
        job_id: str,
        reason: str,
        lease_until: float,
        settings: JobSettings | None = None,
    ) -> bool:
        now = self.now_state
        if (now.jobs, now.status, now.new_labels) != (before.jobs, before.status, before.new_labels):
            return False
        self.now_state = TrainingState(
            JobStatus.LAUNCHING,
            job_id,
            before.jobs + 1,
            0,
            lease_until,
            reason,
            since=before.jobs + 1,
            begun_at=self.clock.now(),
            begun_day=(today := hashes.day(self.clock.now())),
            begun_today=before.begun_today + 1 if before.begun_day == today else 1,
            lost=before.lost_before_next(),
            settings=settings,
            project_classes=now.project_classes,
            backbone_change=now.backbone_change,
        )
        return True

    def keep_classes(self, classes: tuple[str, ...]) -> None:
        self.now_state = replace(self.now_state, project_classes=classes)

    def request(self, reason: str) -> None:
        self.now_state = replace(self.now_state, requested=reason)

    def change_backbone(self, change: BackboneChange) -> bool:
        stored = self.now_state.backbone_change
        if (stored.revision if stored else 0) != change.revision:
            return False
        stored = replace(change, revision=change.revision + 1)
        self.now_state = replace(self.now_state, backbone_change=stored)
        return True

    def abort(self, job_id: str, before: TrainingState, reason: str) -> bool:
        if not self._is(job_id, JobStatus.LAUNCHING):
            return False
        back = self.now_state.new_labels + before.new_labels
        now = self.clock.now()
        self.now_state = replace(
            self.now_state,
            status=JobStatus.FAILED,
            new_labels=back,
            since=before.since,
            reason=reason,
            lease_until=now,
        )
        return True

    def start(self, job_id: str, lease_until: float) -> bool:
        lost = self._is(job_id, JobStatus.RUNNING) and self.now_state.lease_until < self.clock.now()
        if not lost and not self._is(job_id, JobStatus.LAUNCHING):
            return False
        self.now_state = replace(self.now_state, status=JobStatus.RUNNING, lease_until=lease_until)
        return True

    def relaunch(self, lost: TrainingState, lease_until: float) -> bool:
        if not self._is(lost.job_id, JobStatus.RUNNING) or self.now_state.lease_until != lost.lease_until:
            return False
        self.now_state = replace(self.now_state, status=JobStatus.LAUNCHING, lease_until=lease_until)
        return True

    def renew(self, job_id: str, lease_until: float) -> bool:
        if not self._is(job_id, JobStatus.RUNNING):
            return False
        self.now_state = replace(self.now_state, lease_until=lease_until)
        return True

    def finish(self, job_id: str, reason: str) -> bool:
        if not self._is(job_id, JobStatus.RUNNING):
            return False
        self.now_state = replace(self.now_state, status=JobStatus.IDLE, reason=reason)
        return True

    def fail(self, job_id: str, reason: str, retry_at: float) -> bool:
        if not self._is(job_id, JobStatus.LAUNCHING, JobStatus.RUNNING):
            return False
        self.now_state = replace(self.now_state, status=JobStatus.FAILED, reason=reason, lease_until=retry_at)
        return True

    def _is(self, job_id: str, *statuses: JobStatus) -> bool:
        return self.now_state.job_id == job_id and self.now_state.status in statuses


@dataclass
class FakeLauncher:
    launched: list[str] = field(default_factory=list)
    down: bool = False
    refuses: str = ""

    def launch(self, job_id: str) -> None:
        if self.down:
            raise ServiceUnavailable("no capacity")
        if self.refuses:
            raise Refused(self.refuses)
        self.launched.append(job_id)


@dataclass
class FakePlatform:
    """The platform that runs the launched jobs, with the report about each."""

    fates: dict[str, Fate] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    error: OctospoonError | None = None

    def fate(self, job_id: str) -> Fate | None:
        if self.error:
            raise self.error
        return self.fates.get(job_id)

    def stop(self, job_id: str) -> None:
        if self.error:
            raise self.error
        self.stopped.append(job_id)


@dataclass
class FakeRegistry:
    runs: dict[str, ModelRun] = field(default_factory=dict)
    run_tags: dict[str, dict[str, str]] = field(default_factory=dict)
    logged: dict[int, dict[str, bytes]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[int, dict[str, str]] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    ended: list[bool] = field(default_factory=list)
    data: dict[int, TrainingData] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    epochs: list[Mapping[str, float]] = field(default_factory=list)
    followed: list[int] = field(default_factory=list)
    alone: list[ModelRun] = field(default_factory=list)
    failures: int = 0

    def begin(self, job_id: str, tags: Mapping[str, str], claim: Callable[[int], int]) -> ModelRun:
        self.run_tags[job_id] = dict(tags)
        if job_id not in self.runs:
            number = len(self.runs) + 1
            self.runs[job_id] = ModelRun(f"run-{job_id}", claim(number), number)
        return self.runs[job_id]

    def follow(self, job_id: str, epochs: Sequence[Mapping[str, float]]) -> None:
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("MLflow does not answer")
        assert job_id in self.runs, "the run is open"
        self.followed.append(len(epochs))
        self.epochs = list(epochs)

    def log(
        self,
        run: ModelRun,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        folder: Path,
        epochs: Sequence[Mapping[str, float]] = (),
    ) -> None:
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("MLflow does not answer")
        self.logged[run.version] = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.metrics, self.params, self.epochs = dict(metrics), dict(params), list(epochs)

    def trained_on(self, run: ModelRun, data: TrainingData) -> None:
        self.data[run.version] = data

    def tag(self, run: ModelRun, tags: Mapping[str, str]) -> None:
        self.tags.setdefault(run.version, {}).update(tags)

    def set_alias(self, alias: str, run: ModelRun) -> None:
        self.aliases[alias] = run.version

    def end(self, run: ModelRun, *, succeeded: bool) -> None:
        self.ended.append(succeeded)

    def end_others(self, run: ModelRun) -> None:
        self.alone.append(run)


@dataclass
class FakeSnapshots:
    stored: dict[str, list[LabelledImage]] = field(default_factory=dict)

    def read(self, job_id: str) -> list[LabelledImage] | None:
        return self.stored.get(job_id)

    def write(self, job_id: str, rows: Sequence[LabelledImage]) -> list[LabelledImage]:
        return self.stored.setdefault(job_id, list(rows))

    def find(self, job_id: str, key: str) -> LabelledImage | None:
        return next((image for image in self.stored.get(job_id, ()) if image.key == key), None)

    def uri(self, job_id: str) -> str:
        return f"s3://artifacts/snapshots/{job_id}.jsonl"

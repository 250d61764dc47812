"""One training job, from the labels to the champion pointer, through the ports alone.

Every step can be repeated: the snapshot is written once, the registry gives a job the same run and version
again, model files are named by their contents, and the pointer moves by compare-and-swap to newer versions
only. So the same job run twice promotes once.
"""

from __future__ import annotations

import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain import promotion
from octospoon.domain.entities import JobStatus
from octospoon.domain.errors import Conflict, OctospoonError, RetryableError
from octospoon.domain.model_spec import ChampionPointer, head_key, model_key
from octospoon.training import model_file, report
from octospoon.training.dataset import Dataset, gather
from octospoon.training.judging import HeadScorer, Judged, check_parity, judge
from octospoon.training.outlook import against_control, expectation
from octospoon.training.trainer import Trainer, train_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.entities import TrainedModel
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.stopping import Expectation
    from octospoon.ports import (
        Champions,
        Clock,
        Control,
        ImageStore,
        Labels,
        ModelRun,
        Pool,
        Registry,
        Scorer,
        Snapshots,
    )

LEASE_SECONDS = 600.0
ATTEMPTS = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingPorts:
    """What a training job needs.

    Attributes:
        open_model: loads a whole model file (`octospoon.adapters.onnx_scorer.OnnxScorer`).
        open_head: loads a head file (`octospoon.adapters.onnx_session.OnnxHead`).
        classes: the project's class names, in order; at least two.
        trainer: makes the model.
        margin: accuracy that a new model may lose, as a share.
    """

    clock: Clock
    control: Control
    labels: Labels
    snapshots: Snapshots
    pool: Pool
    images: ImageStore
    champions: Champions
    registry: Registry
    open_model: Callable[[Path], Scorer]
    open_head: Callable[[Path], HeadScorer]
    classes: tuple[str, ...]
    trainer: Trainer = train_head
    margin: float = promotion.MARGIN


class Outcome(StrEnum):
    """How a job ended."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    NOT_OURS = "not ours"


def run(job_id: str, ports: TrainingPorts) -> Outcome:
    """Run one job; start, finish and failure are recorded in the control item.

    Returns:
        NOT_OURS where the job is already over or another job has taken its place.

    Raises:
        Conflict: somebody else is running this job, and its lease has not run out.
        OctospoonError: the job failed; the control item holds the reason.
    """
    if not ports.control.start(job_id, ports.clock.now() + LEASE_SECONDS):
        state = ports.control.state()
        if state.job_id == job_id and state.status is JobStatus.RUNNING:
            raise Conflict(f"job {job_id} is running elsewhere, or was lost: its lease has not run out yet")
        return Outcome.NOT_OURS
    try:
        outcome, reason = _with_retries(job_id, ports)
    except Exception as error:
        ports.control.fail(job_id, f"{type(error).__name__}: {error}")
        raise
    ports.control.finish(job_id, f"{outcome}: {reason}")
    return outcome


def _with_retries(job_id: str, ports: TrainingPorts) -> tuple[Outcome, str]:
    for attempt in range(1, ATTEMPTS):
        try:
            return _Job(job_id, ports).run()
        except RetryableError as error:
            _log.warning("attempt %d of %d failed, trying again: %s", attempt, ATTEMPTS, error)
    return _Job(job_id, ports).run()


@dataclass(frozen=True, slots=True)
class _Champion:
    """The model in service, or the starter backbone before the first pointer."""

    pointer: ChampionPointer | None
    etag: str | None
    file: bytes
    scorer: Scorer

    @property
    def version(self) -> int:
        return -1 if self.pointer is None else self.pointer.version


class _Job:
    """One attempt."""

    def __init__(self, job_id: str, ports: TrainingPorts) -> None:
        self._id = job_id
        self._ports = ports

    def run(self) -> tuple[Outcome, str]:
        with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(1) as background:
            # importing MLflow and opening the run takes seconds, which the snapshot and the images fill
            opening = background.submit(self._ports.registry.begin, self._id, {})
            champion = self._champion(Path(scratch))
            dataset = self._dataset(champion)
            run = opening.result()
            try:
                outcome = self._settle(run, champion, dataset, Path(scratch))
            except Exception:
                self._close(run)
                raise
            self._ports.registry.end(run, succeeded=True)
            return outcome

    def _close(self, run: ModelRun) -> None:
        try:
            self._ports.registry.tag(run, {"octospoon.outcome": "failed"})
            self._ports.registry.end(run, succeeded=False)
        except OctospoonError as error:
            _log.warning("the run could not be closed as failed: %s", error)

    def _champion(self, folder: Path) -> _Champion:
        found = self._ports.champions.pointer()
        if found is None:
            path = folder / "starter.onnx"
            path.write_bytes(model_file.starter_model())
        else:
            path = self._ports.champions.fetch(found[0], folder)
        pointer, etag = found or (None, None)
        return _Champion(pointer, etag, path.read_bytes(), self._ports.open_model(path))

    def _dataset(self, champion: _Champion) -> Dataset:
        snapshots = self._ports.snapshots
        snapshot = snapshots.read(self._id)
        if snapshot is None:
            snapshot = snapshots.write(self._id, list(self._ports.labels.labelled()))
        rows = self._ports.pool.rows([image.key for image in snapshot])
        return gather(snapshot, self._ports.classes, rows, self._ports.images, champion.scorer)

    def _settle(
        self, run: ModelRun, champion: _Champion, dataset: Dataset, scratch: Path
    ) -> tuple[Outcome, str]:
        registry = self._ports.registry
        if champion.version == run.version:
            registry.set_alias("champion", run.version)
            return Outcome.PROMOTED, f"version {run.version} was in service already"
        spec = replace(champion.scorer.spec, classes=self._ports.classes, version=run.version)
        train, audit = dataset.part(audit=False), dataset.part(audit=True)
        trained = self._ports.trainer(model_file.extract_backbone(champion.file), train, spec)
        folder = scratch / "artefacts"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(trained.model)
        judged = self._judge(trained, champion, audit, scratch)
        report.write(folder, self._ports.classes, dataset.images, audit.labels, judged)
        outlook = expectation(train, audit, len(spec.classes))
        metrics = judged.metrics(audit.labels) | trained.metrics | _counts(dataset) | _gain(outlook)
        metrics |= against_control(train, audit, len(spec.classes))
        params = self._params(spec) | trained.params
        registry.log(run, params, {k: v for k, v in metrics.items() if np.isfinite(v)}, folder)
        if outlook is not None:
            registry.tag(run, {"octospoon.outlook": str(outlook)})
        outcome, reason = self._apply(judged.decision, run, trained, champion)
        return outcome, reason if outlook is None else f"{reason}; {outlook}"

    def _judge(self, trained: TrainedModel, champion: _Champion, audit: Dataset, scratch: Path) -> Judged:
        model, head = scratch / "model.onnx", scratch / "head.onnx"
        model.write_bytes(trained.model)
        head.write_bytes(trained.head)
        challenger, scorer = self._ports.open_model(model), self._ports.open_head(head)
        check_parity(challenger, scorer, champion.scorer)
        old = None
        if champion.pointer and champion.pointer.head_key:
            old = self._ports.open_head(self._ports.champions.fetch_head(champion.pointer, scratch))
        # the pointer, not the file, says which version is in service
        spec = replace(champion.scorer.spec, version=champion.version)
        return judge(
            promotion.Answers(challenger.spec, scorer.run(audit.embeddings)),
            promotion.Answers(spec, old.run(audit.embeddings) if old else None),
            audit.labels,
            self._ports.margin,
        )

    def _apply(
        self, decision: promotion.Decision, run: ModelRun, trained: TrainedModel, champion: _Champion
    ) -> tuple[Outcome, str]:
        registry, reason = self._ports.registry, "; ".join(decision.reasons)
        outcome = Outcome.PROMOTED if decision.promote else Outcome.REFUSED
        if decision.promote:
            self._promote(run, trained, champion)
        registry.tag(run, {"octospoon.outcome": outcome, "octospoon.reasons": reason})
        registry.set_alias("champion" if decision.promote else "challenger", run.version)
        return outcome, reason

    def _promote(self, run: ModelRun, trained: TrainedModel, champion: _Champion) -> None:
        model, head = self._ports.champions.put_model(trained.model, trained.head)
        pointer = ChampionPointer(
            version=run.version,
            sha256=model,
            key=model_key(model),
            backbone=champion.scorer.spec.backbone,
            head_key=head_key(head),
            head_sha256=head,
            classes=self._ports.classes,
        )
        if not self._ports.champions.promote(pointer, champion.etag):
            raise Conflict("another model went into service while this one was trained: judge it again")

    def _params(self, spec: ModelSpec) -> dict[str, str]:
        return {
            "job_id": self._id,
            "version": str(spec.version),
            "classes": ", ".join(spec.classes),
            "backbone": spec.backbone,
            "embedding": str(spec.dim),
        }


def _gain(outlook: Expectation | None) -> dict[str, float]:
    if outlook is None:
        return {}
    return {
        "next_batch_gain": outlook.gain,
        "next_batch_gain_low": outlook.interval.low,
        "next_batch_gain_high": outlook.interval.high,
    }


def _counts(dataset: Dataset) -> dict[str, float]:
    audit = sum(image.audit for image in dataset.images)
    counts = {
        "labels": len(dataset),
        "audit_labels": audit,
        "training_labels": len(dataset) - audit,
        "dropped_labels": sum(dataset.dropped.values()),
    }
    return {name: float(count) for name, count in counts.items()}

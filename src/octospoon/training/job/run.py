"""Run one training job, from the labels to the champion pointer.

Every step can be repeated. The snapshot is written once, and a job gets the same run and version again.
Model files are named by their contents. The pointer moves by compare-and-swap, to newer versions alone.
"""

from __future__ import annotations

import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.http_errors import failure_text
from octospoon.adapters.s3.training_records import packed
from octospoon.domain.errors import BadModel, Conflict, OctospoonError, PermanentError, RetryableError
from octospoon.domain.labelling.blinding import audit_rule
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring.observations import ModelDecision
from octospoon.domain.training.jobs import STOPPED, JobStatus
from octospoon.ports.training import TrainingData
from octospoon.training.data import embeddings
from octospoon.training.evaluation.challenger import EvaluateChallenger
from octospoon.training.evaluation.champion import Champion
from octospoon.training.evaluation.gate import for_project
from octospoon.training.evaluation.next_batch import outlook
from octospoon.training.graph.parts import widths
from octospoon.training.job import requested_backbone
from octospoon.training.job.labels import read_labels
from octospoon.training.job.lease import LEASE_SECONDS, lease_kept
from octospoon.training.model import model_file
from octospoon.training.report.figures import Figures
from octospoon.training.report.files import manifest, write_files

if TYPE_CHECKING:
    from octospoon.domain.evaluation.gate import Decision
    from octospoon.domain.evaluation.training_record import TrainingRecord
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.training.jobs import TrainedModel
    from octospoon.ports.training import ModelRun
    from octospoon.training.context import TrainingPorts
    from octospoon.training.data.dataset import Dataset
    from octospoon.training.evaluation.gate import Judged

ATTEMPTS = 3
_TAG_LENGTH = 500
_log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """The outcome of a job."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    NOT_OURS = "not ours"


def run(job_id: str, ports: TrainingPorts) -> Outcome:
    """Run one job and record its start, its end or its failure in the control item.

    Returns:
        The outcome; NOT_OURS if the job is already finished or another job has replaced it.

    Raises:
        Conflict: another process runs this job, and its lease has not expired.
        OctospoonError: the job failed; the control item has the reason.
    """
    if not ports.control.start(job_id, ports.clock.now() + LEASE_SECONDS):
        state = ports.control.state()
        if state.job_id == job_id and state.status is JobStatus.RUNNING:
            raise Conflict(f"job {job_id} is running elsewhere, or was lost: its lease has not expired yet")
        return Outcome.NOT_OURS
    try:
        with lease_kept(job_id, ports):
            outcome, reason = _with_retries(job_id, ports)
            requested_backbone.settle(ports, reason, promoted=outcome is Outcome.PROMOTED)
    except (SystemExit, KeyboardInterrupt):
        # A stopped container has a few seconds left. Ending the lease now lets the next job start at once.
        ports.control.fail(job_id, STOPPED, ports.clock.now())
        raise
    except Exception as error:
        if isinstance(error, PermanentError):
            requested_backbone.give_up(ports, failure_text(error))
        ports.control.fail(job_id, failure_text(error), ports.clock.now() + LEASE_SECONDS)
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


class _Job:
    """One attempt at a job."""

    def __init__(self, job_id: str, ports: TrainingPorts) -> None:
        self._id = job_id
        self._ports = ports

    def run(self) -> tuple[Outcome, str]:
        with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(1) as background:
            # importing MLflow and opening the run takes seconds; snapshot and images are read meanwhile
            opening = background.submit(self._open, self._ports.control.state().reason)
            champion = self._champion(Path(scratch))
            self._ports, dataset = read_labels(self._id, self._ports, champion.scorer)
            run = opening.result()
            try:
                outcome = self._train(run, champion, dataset, Path(scratch))
            except Exception:
                self._close(run)
                raise
            # after the promotion, so that a failure of the archive cannot stop a model
            self._archive(run, dataset)
            self._ports.registry.end(run, succeeded=True)
            return outcome

    def _open(self, reason: str) -> ModelRun:
        claim = partial(self._ports.champions.claim, self._id)
        run = self._ports.registry.begin(self._id, {"octospoon.reason": reason}, claim)
        self._ports.registry.end_others(run)
        return run

    def _close(self, run: ModelRun) -> None:
        try:
            self._ports.registry.tag(run, {"octospoon.outcome": "failed"})
            self._ports.registry.end(run, succeeded=False)
        except OctospoonError as error:
            _log.warning("the run could not be closed as failed: %s", error)

    def _archive(self, run: ModelRun, dataset: Dataset) -> None:
        """Commit the manifest if a repository is configured; a failure is only logged and tagged."""
        archive = self._ports.datasets
        if archive is None:
            return
        try:
            tags = {"octospoon.dataset_commit": archive.commit(run.run_id, manifest(dataset.images))}
        except OctospoonError as error:
            _log.warning("the manifest of the training data is not committed: %s", error)
            tags = {"octospoon.dataset_error": str(error)[:_TAG_LENGTH]}
        self._ports.registry.tag(run, tags)

    def _champion(self, folder: Path) -> Champion:
        """Load the model in service, or the starter model before the first pointer."""
        stored = self._ports.champions.pointer()
        if stored is None:
            path = folder / "starter.onnx"
            path.write_bytes(model_file.starter_model())
        else:
            path = self._ports.champions.fetch(stored[0], folder)
        pointer, etag = stored or (None, None)
        record, unmeasurable = self._training_record(pointer)
        return Champion(pointer, etag, path.read_bytes(), self._ports.open_model(path), record, unmeasurable)

    def _training_record(self, pointer: ChampionPointer | None) -> tuple[TrainingRecord | None, str]:
        """Return the record of the model in service, and why it cannot be read; empty if it could."""
        try:
            return (None if pointer is None else self._ports.training_records.get(pointer)), ""
        except BadModel as error:
            _log.warning("%s", error)
            return None, str(error)

    def _train(
        self, run: ModelRun, champion: Champion, dataset: Dataset, scratch: Path
    ) -> tuple[Outcome, str]:
        """Train a model, evaluate it, record everything and apply the decision; return outcome and reason."""
        if champion.version == run.version and self._was_promoted(run):
            self._alias("champion", run)
            return Outcome.PROMOTED, f"version {run.version} was already in service"
        activation, spec = self._ports.task_type.activation, champion.scorer.spec
        ends = activation or spec.activation  # of a detector, it says nothing
        spec = replace(spec, classes=self._ports.classes, version=run.version, activation=ends)
        dataset = dataset.deal(champion.record, self._ports.task_type.evaluator)
        train, audit = dataset.part(audit=False), dataset.part(audit=True)
        trained = self._ports.trainer(model_file.extract_backbone(champion.file), dataset, spec)
        evaluated = EvaluateChallenger(self._ports, self._id, champion, scratch)(trained, dataset)
        judged, trained, dataset = evaluated.judged, evaluated.trained, evaluated.dataset
        # The learning curve needs embeddings of a backbone that was trained on no label. So it uses `train`
        # and `audit` with the embeddings of the champion, not of the challenger.
        expected = outlook(train, audit, len(spec.classes), widths(champion.file), activation)
        metrics = judged.metrics(dataset.part(audit=True).labels) | trained.metrics | dataset.counts()
        metrics |= evaluated.metrics | expected.metrics
        metrics["training_labels"] = float(len(trained.record.images))
        decision = for_project(judged.decision, spec.classes, self._ports)
        backbone_change = self._ports.control.state().backbone_change
        decision = requested_backbone.unless_revoked(decision, self._ports.candidate, backbone_change)
        decided = self._decided(run, decision, metrics)
        folder = self._artefacts(scratch / "artefacts", spec, dataset, trained, judged)
        Figures(self._ports, folder, spec.resize).versions(decided)
        params = self._params(model_file.read_spec(trained.model)) | trained.params
        params["audit_predictions"] = audit_rule(dataset.images) or "no audit labels"
        self._record(run, params, (decided.measures, trained.epochs), folder, dataset)
        notes = {"octospoon.next_batch": "" if expected.next_batch is None else str(expected.next_batch)}
        notes["octospoon.left_out"] = dataset.left_out()[:_TAG_LENGTH]
        self._ports.registry.tag(run, {name: note for name, note in notes.items() if note})
        pointer = self._pointer(run, trained)
        outcome, reason = self._apply(decided, run, pointer, champion)
        if decided.promoted and pointer.backbone != champion.scorer.spec.backbone:
            rows = self._ports.pool.rows([image.key for image in dataset.images])
            embeddings.keep(self._ports.pool, dataset, rows, pointer.backbone)
        return outcome, "; ".join(part for part in (reason, *notes.values()) if part)

    def _was_promoted(self, run: ModelRun) -> bool:
        """Return True if an earlier attempt of this job promoted the model of this run."""
        decision = self._ports.history.decision(self._id)
        return decision is not None and decision.promoted and decision.version == run.version

    def _decided(self, run: ModelRun, decision: Decision, metrics: dict[str, float]) -> ModelDecision:
        finite, now = {name: x for name, x in metrics.items() if np.isfinite(x)}, self._ports.clock.now()
        return ModelDecision(self._id, run.version, decision.promote, decision.reasons, now, finite)

    def _artefacts(
        self, folder: Path, spec: ModelSpec, dataset: Dataset, trained: TrainedModel, judged: Judged
    ) -> Path:
        """Write the files that the run keeps: the model, tables and figures."""
        folder.mkdir()
        (folder / "model.onnx").write_bytes(trained.model)
        (folder / "record.npz").write_bytes(packed(trained.record))
        labels = dataset.part(audit=True).labels
        write_files(folder, self._ports.classes, dataset.images, labels, judged, self._ports.task_type.name)
        figures = Figures(self._ports, folder, spec.resize)
        figures.mistakes(dataset, judged.probabilities, trained.held_out)
        figures.newest_round(dataset.images)
        figures.drift(dataset.images)
        return folder

    def _record(
        self,
        run: ModelRun,
        params: dict[str, str],
        measured: tuple[dict[str, float], tuple[dict[str, float], ...]],
        folder: Path,
        dataset: Dataset,
    ) -> None:
        """Log parameters, metrics, files and data; `measured` is metrics of the run and of each epoch."""
        uri, snapshot = self._ports.snapshots.uri(self._id), manifest(dataset.images)
        data = TrainingData(self._id, uri, model_file.sha256(snapshot), len(dataset))
        named = {"dataset": uri, "dataset_sha256": data.sha256}
        self._ports.registry.log(run, params | named, measured[0], folder, measured[1])
        self._ports.registry.trained_on(run, data)

    def _apply(
        self,
        decided: ModelDecision,
        run: ModelRun,
        pointer: ChampionPointer,
        champion: Champion,
    ) -> tuple[Outcome, str]:
        """Record the decision, move the pointer if it is a promotion, and tag the run.

        Raises:
            Conflict: the pointer changed while this model was trained.
        """
        registry, reason = self._ports.registry, "; ".join(decided.reasons)
        outcome = Outcome.PROMOTED if decided.promoted else Outcome.REFUSED
        self._ports.history.record(decided)
        if decided.promoted and not self._ports.champions.promote(
            pointer.after(champion.pointer), champion.etag
        ):
            raise Conflict("another model went into service during training: evaluate this one again")
        registry.tag(run, {"octospoon.outcome": outcome, "octospoon.reasons": reason})
        self._alias("champion" if decided.promoted else "challenger", run)
        return outcome, reason

    def _alias(self, alias: str, run: ModelRun) -> None:
        self._ports.registry.set_alias(alias, run)
        if alias == "champion":
            # a later change of the alias was made by a person
            self._ports.history.keep_alias(run.version)

    def _pointer(self, run: ModelRun, trained: TrainedModel) -> ChampionPointer:
        """Store the files and their pointer, of a refused model too: a person may put it into service."""
        model, head = self._ports.champions.put_model(trained.model, trained.head or None)
        backbone = model_file.read_spec(trained.model).backbone
        record = self._ports.training_records.put(trained.record)
        pointer = ChampionPointer.of(run.version, backbone, model, head, self._ports.classes, record)
        self._ports.champions.keep(pointer)
        return pointer

    def _params(self, spec: ModelSpec) -> dict[str, str]:
        return {
            "job_id": self._id,
            "version": str(spec.version),
            "classes": ", ".join(spec.classes),
            "backbone": spec.backbone,
            "embedding": str(spec.dim),
        }

"""octospoon demo: the whole loop on real images, with a simulated annotator and a random control."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
from rich.progress import track
from rich.table import Table

from octospoon.adapters.label_studio.controls import control_of
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.cli.demo.careless import careless_round
from octospoon.cli.demo.failed import DemoFailed
from octospoon.cli.demo.held_out import held_out_metric
from octospoon.cli.demo.learning_curve import RoundFigures, learning_curve
from octospoon.cli.demo.oracle import submit
from octospoon.cli.demo.random_control import ROUNDS, RandomControl
from octospoon.cli.operations.queues import depth
from octospoon.cli.operations.run_now import rank
from octospoon.cli.operations.upload import run_all
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.pool.images import State
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.training.jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from octospoon.cli.demo.task import DemoTask
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.monitoring.observations import ModelDecision

LATECOMERS = 5
"""Number of images that are uploaded at the end: the newest model must score them without a redeploy."""
REPORT = Path(".octospoon/demo.json")
PLOT = Path(".octospoon/demo.png")


def parameters(task: DemoTask) -> dict[str, str]:
    """Return the parameters of the template for a demo."""
    size = str(task.batch)
    return {
        "TaskType": task.task_type.name,
        "RankTriggers": "schedule",  # the demonstration starts each round itself
        # every job, the first one too, has every label of its round
        **dict.fromkeys(("BatchSize", "FirstBatchSize", "TrainingThreshold"), size),
        **task.parameters,
    }


@dataclass
class Demo:
    """A run of the demo on a stack."""

    stack: LocalStack
    console: Console
    task: DemoTask
    figures: list[RoundFigures] = field(default_factory=list)
    uploaded: int = 0
    refused: ModelDecision | None = None

    def run(self, setup_seconds: float) -> None:
        """Run the loop, print the table, and write the report.

        Args:
            setup_seconds: what the set-up took, for the report.

        Raises:
            DemoFailed: a step ended with a wrong result.
        """
        started = time.monotonic()
        keys = self.task.pool
        self._upload(keys[:-LATECOMERS])
        with RandomControl(self.task, self._model_file()) as control:
            for number in range(1, ROUNDS + 1):
                self._round(number)
            if careless := self.task.careless:
                self.refused = careless_round(self, careless, ROUNDS + 1, self.figures[-1].model_version)
            self._latecomers(keys[-LATECOMERS:])
            self._report(control, setup_seconds, time.monotonic() - started)

    # -- the loop -------------------------------------------------------------------------------

    def _upload(self, keys: Sequence[str]) -> None:
        client, bucket = self.stack.deployment.client("s3"), self.stack.project.outputs["ImagesBucket"]

        def put(key: str) -> None:
            client.put_object(Bucket=bucket, Key=key, Body=self.task.file(key), ContentType="image/png")

        run_all(put, keys, f"Uploading {self.task.title}")
        self.uploaded += len(keys)
        self._wait_scored(self.uploaded)

    def _wait_scored(self, expected: int) -> None:
        """Wait until the queue is empty, then count: a count reads the whole pool and slows scoring down."""
        deployment, url = self.stack.deployment, self.stack.project.outputs["UploadsQueueUrl"]
        sqs = deployment.client("sqs")
        with self.console.status("") as status:

            def look() -> bool | None:
                waiting = sum(depth(sqs, url))
                status.update(f"scoring: {waiting:,} uploads wait")
                return True if not waiting else None

            wait_for("the uploads to be scored", look, seconds=300, interval=0.5)
        counts = deployment.pool_report.counts()
        if sum(counts.values()) != expected or counts[State.QUARANTINED]:
            raise DemoFailed(
                f"of {expected:,} uploads there are {counts}: {deployment.pool_report.quarantined(5)}"
            )

    def _round(self, number: int) -> None:
        started = time.monotonic()
        self.rank(number)
        self._label(number)
        pointer = self._new_champion(number)
        accuracy = self._accuracy(pointer)
        seconds = time.monotonic() - started
        labels = number * self.task.batch
        self.figures.append(RoundFigures(number, labels, accuracy, 0.0, pointer.version, seconds))
        self.console.print(
            f"round {number}: {labels} labels, version {pointer.version} is the champion, "
            f"{self.task.metric} {accuracy:.1%} on the held-out third ({seconds:.0f} s)"
        )

    def rank(self, number: int) -> None:
        """Let `rank` export a round."""
        report = rank(self.stack.deployment)
        # the schedule may have started this round already
        if number not in (report.round_number, self.stack.deployment.rounds.last_number()):
            raise DemoFailed(f"rank did not export round {number}: {report}")

    def _label(self, number: int) -> None:
        tasks = self.tasks(number)
        for key in track(tasks, f"Labelling round {number}", console=self.console, transient=True):
            submit(self.stack.label_studio, tasks[key], self.result(self.task.label(key)))

    def tasks(self, number: int, *, audit: bool = True) -> dict[str, int]:
        """Return the tasks of a round's images by key, in its order; without the audit share if asked."""
        round_ = self.stack.deployment.rounds.read(number)
        if round_ is None:
            raise DemoFailed(f"round {number} is not stored")
        labeler = self.stack.deployment.labeler(self.stack.label_studio)
        picks = [pick for pick in round_.picks if audit or not pick.audit]
        known = labeler.find({pick.key: pick.etag for pick in picks})
        return {pick.key: known[pick.key] for pick in picks}

    def result(self, label: str) -> list[dict[str, Any]]:
        """Return the result of an annotation with a label."""
        result = control_of(self.task.task_type).result(label)
        if result is None:
            raise DemoFailed(f"the labelling interface does not offer {label}")
        return result

    def _new_champion(self, number: int) -> ChampionPointer:
        deployment = self.stack.deployment
        self.trained(number)
        current = deployment.champions.pointer()
        if current is None:
            raise DemoFailed("there is no champion")
        pointer = current[0]
        with self.console.status(f"re-scoring the pool with version {pointer.version}"):
            done = (pointer.version, SHARDS)
            wait_for(
                f"the pool to be re-scored by version {pointer.version}",
                lambda: True if deployment.rescoring.progress() == done else None,
                seconds=600,  # no stored embedding gives boxes: a detector reads all images again
            )
        return pointer

    def trained(self, number: int) -> None:
        """Wait for the end of a training job."""
        with self.console.status(f"training job {number}"):
            wait_for(f"training job {number}", lambda: self._job_done(number), seconds=1800)

    def _job_done(self, number: int) -> bool | None:
        state = self.stack.deployment.control.state()
        if state.status is JobStatus.FAILED:
            raise DemoFailed(f"{state.job_id} failed: {state.reason}")
        return True if state.jobs >= number and state.status is JobStatus.IDLE else None

    def _latecomers(self, keys: Sequence[str]) -> None:
        self._upload(keys)
        rows = self.stack.deployment.pool.rows(keys)
        versions = {row.model_version for row in rows.values()}
        if versions != {self.figures[-1].model_version}:
            raise DemoFailed(f"the new images were scored by versions {versions}, not by the champion")
        self.console.print(
            f"{len(rows)} images uploaded after the last promotion were scored by version "
            f"{self.figures[-1].model_version}, without a redeploy"
        )

    # -- accuracy and report --------------------------------------------------------------------------------

    def _model_file(self) -> bytes:
        """Return the cold-start model, whose backbone the control uses too."""
        with TemporaryDirectory() as folder:
            current = self.stack.deployment.champions.pointer()
            if current is None:
                raise DemoFailed("there is no model: `octospoon init-model` did not run")
            return self.stack.deployment.champions.fetch(current[0], Path(folder)).read_bytes()

    def _accuracy(self, pointer: ChampionPointer) -> float:
        with TemporaryDirectory() as folder:
            scorer = OnnxScorer(self.stack.deployment.champions.fetch(pointer, Path(folder)))
        return held_out_metric(scorer, self.task)

    def _report(self, control: RandomControl, setup_seconds: float, loop_seconds: float) -> None:
        with self.console.status("") as status:
            means = control.means(status.update)
        for line in self.figures:
            line.control_accuracy = means[line.labels]
        learning_curve(self.figures, self.task.metric, self.task.draws, PLOT)
        report = {
            "task": self.task.task_type.name,
            "metric": self.task.metric,
            "rounds": [asdict(line) for line in self.figures],
            "setup_seconds": round(setup_seconds, 1),
            "loop_seconds": round(loop_seconds, 1),
        }
        if self.refused:
            report["refused"] = {"version": self.refused.version, "reasons": self.refused.reasons}
        REPORT.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
        self.console.print(self._table())
        self.console.print(
            f"set-up {setup_seconds:.0f} s, loop {loop_seconds:.0f} s · learning curve: {PLOT} · "
            f"figures: {REPORT}",
            soft_wrap=True,
        )

    def _table(self) -> Table:
        table = Table("round", "labels", self.task.metric, "random control", "model version", "seconds")
        for line in self.figures:
            table.add_row(
                str(line.round),
                str(line.labels),
                f"{line.accuracy:.1%}",
                f"{line.control_accuracy:.1%}",
                str(line.model_version),
                f"{line.seconds:.0f}",
            )
        table.title = f"{self.task.title}: {self.task.metric} on the held-out third"
        return table

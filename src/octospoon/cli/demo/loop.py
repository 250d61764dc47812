"""octospoon demo: the whole loop on real images, with a simulated annotator and a random control."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from rich.progress import track
from rich.table import Table

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.cli.datasets import digits
from octospoon.cli.demo.learning_curve import RoundFigures, learning_curve
from octospoon.cli.demo.oracle import annotate
from octospoon.cli.demo.random_control import random_control
from octospoon.cli.operations.queues import depth
from octospoon.cli.operations.run_now import rank
from octospoon.cli.operations.upload import run_all
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.errors import OctospoonError
from octospoon.domain.pool.images import State
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.training.jobs import JobStatus
from octospoon.training.simulation import Plan

if TYPE_CHECKING:
    from concurrent.futures import Future

    import numpy.typing as npt
    from rich.console import Console

    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.model_spec import ChampionPointer

ROUNDS = 3
BATCH_SIZE = 50
AUDIT_SHARE = 0.2
PARAMETERS = {
    "RankTriggers": "schedule",  # the demonstration starts each round itself
    "FirstBatchSize": str(BATCH_SIZE),  # the first job, like all others, has every label of its round
}
LATECOMERS = 5
"""Number of images that are uploaded at the end: the newest model must score them without a redeploy."""
CONTROL_DRAWS = 10
REPORT = Path(".octospoon/demo.json")
PLOT = Path(".octospoon/demo.png")


class DemoFailed(OctospoonError):
    """A step of the loop ended with a wrong result."""


@dataclass
class Demo:
    """A run of the demo on a stack."""

    stack: LocalStack
    console: Console
    figures: list[RoundFigures] = field(default_factory=list)
    uploaded: int = 0

    def run(self, setup_seconds: float) -> None:
        """Run the loop, print the table, and write the report.

        Args:
            setup_seconds: what the set-up took, for the report.

        Raises:
            DemoFailed: a step ended with a wrong result.
        """
        started = time.monotonic()
        split = digits.split()
        self._upload(split.pool[:-LATECOMERS])
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
            plan = Plan.even(ROUNDS, BatchRules(BATCH_SIZE, AUDIT_SHARE))
            control = other.submit(random_control, self._model_file(), plan, CONTROL_DRAWS)
            for number in range(1, ROUNDS + 1):
                self._round(number)
            self._latecomers(split.pool[-LATECOMERS:])
            self._report(control, setup_seconds, time.monotonic() - started)

    # -- the loop -------------------------------------------------------------------------------

    def _upload(self, indices: npt.NDArray[np.int64]) -> None:
        client, bucket = self.stack.deployment.client("s3"), self.stack.project.outputs["ImagesBucket"]

        def put(index: int) -> None:
            client.put_object(
                Bucket=bucket, Key=key_of(index), Body=digits.png_bytes(index), ContentType="image/png"
            )

        run_all(put, [int(index) for index in indices], "Uploading digits")
        self.uploaded += len(indices)
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
        self._rank(number)
        self._label(number)
        pointer = self._new_champion(number)
        accuracy = self._accuracy(pointer)
        seconds = time.monotonic() - started
        labels = number * BATCH_SIZE
        self.figures.append(RoundFigures(number, labels, accuracy, 0.0, pointer.version, seconds))
        self.console.print(
            f"round {number}: {labels} labels, version {pointer.version} is the champion, "
            f"{accuracy:.1%} on the held-out third ({seconds:.0f} s)"
        )

    def _rank(self, number: int) -> None:
        report = rank(self.stack.deployment)
        # the schedule may have started this round already
        if number not in (report.round_number, self.stack.deployment.rounds.last_number()):
            raise DemoFailed(f"rank did not export round {number}: {report}")

    def _label(self, number: int) -> None:
        round_ = self.stack.deployment.rounds.read(number)
        if round_ is None:
            raise DemoFailed(f"round {number} is not stored")
        labeler = self.stack.deployment.labeler(self.stack.label_studio)
        tasks = labeler.find({pick.key: pick.etag for pick in round_.picks})
        truth = {key_of(int(i)): digits.CLASSES[label] for i, label in enumerate(digits.labels())}
        for pick in track(round_.picks, f"Labelling round {number}", console=self.console, transient=True):
            annotate(self.stack.label_studio, tasks[pick.key], truth[pick.key])

    def _new_champion(self, number: int) -> ChampionPointer:
        deployment = self.stack.deployment
        with self.console.status(f"training job {number}"):
            wait_for(f"training job {number}", lambda: self._job_done(number), seconds=180)
        current = deployment.champions.pointer()
        if current is None:
            raise DemoFailed("there is no champion")
        pointer = current[0]
        with self.console.status(f"re-scoring the pool with version {pointer.version}"):
            done = (pointer.version, SHARDS)
            wait_for(
                f"the pool to be re-scored by version {pointer.version}",
                lambda: True if deployment.rescoring.progress() == done else None,
            )
        return pointer

    def _job_done(self, number: int) -> bool | None:
        state = self.stack.deployment.control.state()
        if state.status is JobStatus.FAILED:
            raise DemoFailed(f"{state.job_id} failed: {state.reason}")
        return True if state.jobs >= number and state.status is JobStatus.IDLE else None

    def _latecomers(self, indices: npt.NDArray[np.int64]) -> None:
        self._upload(indices)
        rows = self.stack.deployment.pool.rows([key_of(int(index)) for index in indices])
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
        held_out = digits.split().held_out
        images = np.stack([scorer.preprocess(digits.png_bytes(int(index))).pixels for index in held_out])
        _, probabilities = scorer.run(images)
        if probabilities is None:
            raise DemoFailed(f"version {pointer.version} has no head: the gate refused the trained ones")
        return float((probabilities.argmax(axis=1) == digits.labels()[held_out]).mean())

    def _report(self, control: Future[dict[int, float]], setup_seconds: float, loop_seconds: float) -> None:
        with self.console.status("waiting for the random control"):
            means = control.result()
        for line in self.figures:
            line.control_accuracy = means[line.labels]
        learning_curve(self.figures, CONTROL_DRAWS, PLOT)
        report = {
            "rounds": [asdict(line) for line in self.figures],
            "setup_seconds": round(setup_seconds, 1),
            "loop_seconds": round(loop_seconds, 1),
        }
        REPORT.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
        self.console.print(self._table())
        self.console.print(
            f"set-up {setup_seconds:.0f} s, loop {loop_seconds:.0f} s · learning curve: {PLOT} · "
            f"figures: {REPORT}",
            soft_wrap=True,
        )

    def _table(self) -> Table:
        table = Table("round", "labels", "accuracy", "random control", "model version", "seconds")
        for line in self.figures:
            table.add_row(
                str(line.round),
                str(line.labels),
                f"{line.accuracy:.1%}",
                f"{line.control_accuracy:.1%}",
                str(line.model_version),
                f"{line.seconds:.0f}",
            )
        table.title = "digits: accuracy on the held-out third"
        return table


def key_of(index: int) -> str:
    """Return the object key of one digit."""
    return f"digits/{index:04d}.png"

"""Change the backbone of a pool with labels on the local stack, with the command killed twice on the way.

The stack must run with an empty pool, and the folder has one folder of images for each class:

    octospoon up --classes cat,dog --backbone scattering --set BatchSize=50 --set AuditShare=0.2 \
        --set TrainingThreshold=50 --set FirstBatchSize=50
    python -m bench.change_backbone DIR [--to NAME] [--images 2000] [--rounds 3] [--json FILE]

It uploads the images and labels `rounds` batches through Label Studio. Then it runs `octospoon backbone
use`, kills it during the training job and during the reading of the images, labels some more images in
between, and runs it to its end. Accuracies are those of the probabilities that the pool stores for the
images without a label, by the images' true classes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octospoon.cli.demo.oracle import annotate
from octospoon.cli.deployment import find_deployment
from octospoon.cli.operations import rescore, run_now
from octospoon.cli.operations.queues import depth
from octospoon.cli.operations.upload import run_all
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.errors import RetryableError
from octospoon.domain.pool.images import State
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.training.backbone_change import Stage
from octospoon.domain.training.jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.labelling.tasks import LabelledImage

OCTOSPOON = str(Path(sys.executable).parent / "octospoon")
LATE = 10
"""Number of images that are labelled while the backbone changes."""


@dataclass
class Change:
    """A change of the backbone, and what was measured."""

    folder: Path
    images: int
    to: str
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.deployment = find_deployment(None)
        files = sorted(self.folder.glob("*/*"))
        step = len(files) / min(self.images, len(files))
        chosen = [files[int(i * step)] for i in range(min(self.images, len(files)))]
        self.files = {f"{file.parent.name}/{file.name}": file for file in chosen}

    def run(self, rounds: int) -> None:
        self._upload()
        for number in range(1, rounds + 1):
            self._round(number)
        before = self._labels()
        self.figures |= {"images": len(self.files), "labels": len(before)}
        self.figures["audit_labels"] = sum(label.audit for label in before)
        self.figures["accuracy_before"] = self._accuracy()
        began = time.monotonic()
        self._change()
        self.figures["seconds"] = round(time.monotonic() - began)
        after = self._labels()
        lost = set(before) - set(after)
        assert not lost, lost
        assert len(after) == len(before) + LATE
        assert not rescore.stale_images(self.deployment)
        self.figures |= {"labels_after": len(after), "labels_lost": len(lost)}
        self.figures["accuracy_after"] = self._accuracy()

    def revoke(self) -> None:
        began = time.monotonic()
        self._command("--revoke")
        self.figures["revoke_seconds"] = round(time.monotonic() - began)
        assert not rescore.stale_images(self.deployment)
        self.figures["accuracy_after_revoke"] = self._accuracy()
        self.figures["labels_after_revoke"] = len(self._labels())

    def _change(self) -> None:
        jobs = self.deployment.control.state().jobs
        self._killed("training", lambda: self._trains(jobs))
        self._label(self._open_round(), LATE)
        self._killed("reading", self._reads, interval=5.0)  # each look reads the whole pool
        self._command(self.to)
        change = self.deployment.control.state().backbone_change
        assert change
        assert change.stage is Stage.SERVING, change
        self.figures["gate"] = change.reason

    def _trains(self, jobs: int) -> bool | None:
        state = self.deployment.control.state()
        return True if state.jobs > jobs and state.status is JobStatus.RUNNING else None

    def _reads(self) -> bool | None:
        """Return True when a part of the images has been read."""
        change = self.deployment.control.state().backbone_change
        if change is None or change.is_open:
            return None
        try:
            remaining = len(rescore.stale_images(self.deployment))
        except RetryableError:  # a busy machine: look again
            return None
        self.figures["left_when_killed"] = remaining
        return True if 0 < remaining < 0.9 * (len(self.files) - 200) else None

    def _killed(self, during: str, when: Callable[[], bool | None], interval: float = 0.5) -> None:
        process = subprocess.Popen([OCTOSPOON, "backbone", "use", self.to, "--yes"])
        try:
            wait_for(during, when, seconds=3600, interval=interval)
            assert process.poll() is None, "it ended before it could be killed"
        finally:
            process.kill()
            process.wait()
        print(f"killed during {during}")

    def _command(self, *arguments: str) -> None:
        subprocess.run([OCTOSPOON, "backbone", "use", *arguments, "--yes"], check=True)

    # -- the loop before --------------------------------------------------------------------------

    def _upload(self) -> None:
        assert not sum(self.deployment.pool_report.counts().values()), "the pool is not empty"
        s3, bucket = self.deployment.client("s3"), self.deployment.outputs["ImagesBucket"]

        def put(key: str) -> None:
            s3.put_object(Bucket=bucket, Key=key, Body=self.files[key].read_bytes())

        run_all(put, list(self.files), "Uploading")
        sqs, url = self.deployment.client("sqs"), self.deployment.outputs["UploadsQueueUrl"]
        wait_for("scores", lambda: None if any(depth(sqs, url)) else True, seconds=1800, interval=2.0)
        assert self.deployment.pool_report.counts()[State.SCORED] == len(self.files)

    def _round(self, number: int) -> None:
        jobs = self.deployment.control.state().jobs
        self._label(self._open_round(), None)
        wait_for(f"job {number}", lambda: self._job_done(jobs), seconds=900)
        champion = self.deployment.champions.pointer()
        assert champion
        done = (champion[0].version, SHARDS)
        wait_for(
            "scores", lambda: True if self.deployment.rescoring.progress() == done else None, seconds=600
        )
        print(f"round {number}: version {champion[0].version}, accuracy {self._accuracy():.3f}")

    def _job_done(self, jobs: int) -> bool | None:
        state = self.deployment.control.state()
        assert state.status is not JobStatus.FAILED, state.reason
        return True if state.jobs > jobs and state.status is JobStatus.IDLE else None

    def _open_round(self) -> list[str]:
        """Return the keys of the newest round, or of a new one if all of its images are labelled."""
        rounds = self.deployment.rounds
        for _ in range(3):
            stored = rounds.read(rounds.last_number()) if rounds.last_number() else None
            keys = [pick.key for pick in stored.picks] if stored else []
            waiting = [key for key, entry in self._entries(keys) if entry is State.EXPORTED]
            if waiting:
                return waiting
            run_now.rank(self.deployment)
        raise AssertionError("no batch can be chosen")

    def _entries(self, keys: Sequence[str]) -> list[tuple[str, State]]:
        return [(key, entry.state) for key, entry in self.deployment.entries.entries(keys).items()]

    def _label(self, keys: Sequence[str], count: int | None) -> None:
        labeler = self.deployment.labeler(self.deployment.label_studio())
        etags = {key: entry.etag for key, entry in self.deployment.entries.entries(keys).items()}
        tasks, labels = labeler.find(etags), len(self._labels())
        chosen = list(tasks.items())[:count]
        for key, task in chosen:
            annotate(self.deployment.label_studio(), task, key.partition("/")[0])
        expected = labels + len(chosen)
        wait_for("labels", lambda: True if len(self._labels()) == expected else None, seconds=300)

    def _labels(self) -> list[LabelledImage]:
        return list(self.deployment.labels.labelled())

    def _accuracy(self) -> float:
        """Return the accuracy of the stored probabilities on images without a label."""
        rows = self.deployment.pool.rows(list(self.files))
        right = [
            self.deployment.classes[int(row.probabilities.argmax())] == key.partition("/")[0]
            for key, row in rows.items()
            if row.state is State.SCORED and row.probabilities is not None
        ]
        return round(sum(right) / len(right), 4)


def main() -> None:
    """Run the change and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", default="scattering+efficientnet-lite0")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    change = Change(chosen.folder, chosen.images, chosen.to)
    change.run(chosen.rounds)
    change.revoke()
    text = json.dumps(change.figures, indent=2)
    print(text)
    if chosen.json:
        chosen.json.write_text(f"{text}\n")


if __name__ == "__main__":
    main()

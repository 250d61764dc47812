"""The worker with real child processes; only the queue is in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from octospoon.training.job import worker
from octospoon.training.job.worker import Worker


@dataclass
class Queue:
    bodies: list[str]
    deleted: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    outages: int = 0

    def receive_message(self, **request):
        if self.outages:
            self.outages -= 1
            raise OSError("no connection")
        if not self.bodies:
            time.sleep(0.01)
            return {}
        body = self.bodies.pop(0)
        return {"Messages": [{"Body": body, "ReceiptHandle": f"r:{body}"}]}

    def delete_message(self, **request):
        self.deleted.append(request["ReceiptHandle"])

    def change_message_visibility(self, **request):
        self.hidden.append(request["ReceiptHandle"])


def message(job_id: str) -> str:
    return json.dumps({"job_id": job_id})


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_job_that_succeeds_takes_its_message_off_the_queue(tmp_path):
    queue = Queue([message("train-000001")])
    path = tmp_path / "out"
    Worker(queue, "url", child(f"import sys; open({str(path)!r}, 'w').write(sys.argv[1])")).step()
    assert path.read_text() == "train-000001"
    assert queue.deleted == [f"r:{message('train-000001')}"]


def test_a_job_that_fails_leaves_its_message():
    queue = Queue([message("a")])
    Worker(queue, "url", child("raise SystemExit(1)")).step()
    assert queue.deleted == []


def test_the_message_stays_hidden_while_the_job_runs(monkeypatch):
    monkeypatch.setattr(worker, "VISIBILITY_SECONDS", 3)
    queue = Queue([message("a")])
    Worker(queue, "url", child("import time; time.sleep(2.5)")).step()
    assert len(queue.hidden) == 2
    assert queue.deleted


def test_stopping_ends_the_child_and_leaves_the_message():
    queue = Queue([message("a")])
    training_worker = Worker(queue, "url", child("import time; time.sleep(60)"))
    threading.Timer(0.5, training_worker.stop).start()
    started = time.monotonic()
    training_worker.step()
    assert time.monotonic() - started < 10
    assert queue.deleted == []


def test_worker_survives_an_outage_and_an_unreadable_message(monkeypatch):
    monkeypatch.setattr(worker, "_RETRY_SECONDS", 0.01)
    queue = Queue(["not json", message("b")], outages=2)
    training_worker = Worker(queue, "url", child("pass"))
    threading.Timer(3, training_worker.stop).start()
    training_worker.work()
    assert queue.deleted == [f"r:{message('b')}"]


@pytest.mark.parametrize("module", ["mlflow", "sklearn", "scipy", "onnx", "matplotlib", "numpy"])
def test_the_worker_imports_nothing_heavy(module):
    load = (
        "import sys, octospoon.training.__main__, octospoon.training.job.worker, octospoon.runtime.settings"
    )
    code = f"{load}; assert {module!r} not in sys.modules"
    source = str(Path(worker.__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": source})

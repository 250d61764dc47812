"""Receive job ids from the training queue and run each job in its own process.

The worker imports neither MLflow nor scikit-learn, so it is small between jobs. Memory that a job leaks is
freed with its process.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from mypy_boto3_sqs import SQSClient

WAIT_SECONDS = 10
VISIBILITY_SECONDS = 120
_GRACE_SECONDS = 10.0
_RETRY_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Worker:
    """Runs jobs one after the other until it is stopped.

    Args:
        queue: the SQS client.
        queue_url: the training queue.
        command: starts the child process; the job's id is appended.
    """

    def __init__(self, queue: SQSClient, queue_url: str, command: Sequence[str] = ()) -> None:
        self._queue = queue
        self._url = queue_url
        self._command = list(command) or [sys.executable, "-m", "octospoon.training", "run", "--job-id"]
        self._stop = threading.Event()

    def stop(self, signum: int = 0, frame: FrameType | None = None) -> None:
        """End the child and stop; a signal handler."""
        del signum, frame
        self._stop.set()

    def work(self) -> None:
        """Receive messages until `stop`; errors of the queue are logged and retried."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        while not self._stop.is_set():
            try:
                self.step()
            except Exception as error:  # noqa: BLE001  the worker outlives every outage of the queue
                _log.warning("the training queue could not be used, trying again: %s", error)
                self._stop.wait(_RETRY_SECONDS)

    def step(self) -> None:
        """Receive at most one message and run its job; delete the message if the job succeeded."""
        answer = self._queue.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=WAIT_SECONDS,
            VisibilityTimeout=VISIBILITY_SECONDS,
        )
        for message in answer.get("Messages", []):
            if self._stop.is_set():
                return
            job_id = str(json.loads(message["Body"])["job_id"])
            if self._run(job_id, message["ReceiptHandle"]):
                self._queue.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])

    def _run(self, job_id: str, receipt: str) -> bool:
        """Run one job and keep its message hidden meanwhile; return True if the job succeeded."""
        _log.info("job %s starts", job_id)
        child = subprocess.Popen([*self._command, job_id])
        try:
            code = self._wait(child, receipt)
        finally:
            _end(child)
        _log.info("job %s ended with code %s", job_id, code)
        return code == 0

    def _wait(self, child: subprocess.Popen[bytes], receipt: str) -> int | None:
        """Wait for the child and extend the message's visibility; return its exit code, None if stopped."""
        ticks = 0
        while not self._stop.is_set():
            try:
                return child.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                ticks += 1
            if ticks % (VISIBILITY_SECONDS // 3) == 0:
                self._queue.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=VISIBILITY_SECONDS
                )
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child that still runs: with SIGTERM, then with SIGKILL."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

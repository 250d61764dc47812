"""A running stack: the addresses of its servers, and its end."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Self

from octospoon.cli.stack.health import failure
from octospoon.cli.stack.ports import HOST
from octospoon.cli.stack.process import Supervised, end, exit_code, spawn
from octospoon.cli.stack.record import Record
from octospoon.cli.stack.services import LABEL_STUDIO, LOCALSTACK, MLFLOW, base_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from octospoon.cli.stack.credentials import Credentials
    from octospoon.cli.stack.layout import Layout
    from octospoon.cli.stack.signals import TerminationAsExit

REGION = "us-east-1"
_POLL = 0.05
"""Seconds between two looks at a program that is waited for."""


def aws_environment(url: str) -> dict[str, str]:
    """Return the variables that send boto3 to the LocalStack at an address, and nowhere else."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }


class RunningStack:
    """The local stack. As a context manager it ends with the block, whatever happens there.

    Attributes:
        name: the name of its folders under `.octospoon/run` and `.octospoon/logs`.
        urls: where each server answers, by its name.
        credentials: how to sign in to Label Studio.
        processes: what runs, the newest last.
        detached: whether it outlives this process.
        listen: the address at which Label Studio listens.
    """

    def __init__(
        self,
        layout: Layout,
        name: str,
        credentials: Credentials,
        *,
        lifeline: int | None,
        termination: TerminationAsExit | None = None,
    ) -> None:
        self.name = name
        self.urls: dict[str, str] = {}
        self.credentials = credentials
        self.processes: list[Supervised] = []
        self.detached = lifeline is None
        self.listen = HOST
        self._layout = layout
        self._lifeline = lifeline
        self._termination = termination

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def aws_url(self) -> str:
        """LocalStack, for AWS_ENDPOINT_URL."""
        return self.urls[LOCALSTACK]

    @property
    def label_studio_url(self) -> str:
        """Label Studio."""
        return self.urls[LABEL_STUDIO]

    @property
    def mlflow_url(self) -> str:
        """MLflow, for MLFLOW_TRACKING_URI."""
        return self.urls[MLFLOW]

    @property
    def run_dir(self) -> Path:
        """The folder with the stack's data; kept when a detached stack ends, else removed."""
        return self._layout.data if self.detached else self._layout.run / self.name

    @property
    def temp_dir(self) -> Path:
        """A folder for temporary files."""
        return self._layout.run / self.name / "tmp"

    @property
    def logs_dir(self) -> Path:
        """A folder with a log for each program."""
        return self._layout.logs / self.name

    def aws_environment(self) -> dict[str, str]:
        """Return the variables that send boto3 to LocalStack, and nowhere else."""
        return aws_environment(self.aws_url)

    def start_process(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> Supervised:
        """Run another program beside the servers; it ends with them, with everything that it started.

        Args:
            name: what it is called in messages and in `logs_dir`.
            argv: the program and its arguments, run in the checkout.
            env: its variables, beside PATH and the locale.
        """
        process = self.launch(name, argv, {**base_environment(), **env}, cwd=self._layout.root)
        self._save()
        return process

    def launch(self, name: str, argv: Sequence[str], env: Mapping[str, str], *, cwd: Path) -> Supervised:
        """Run a program with exactly this environment; it replaces an ended program with the same name."""
        process = spawn(
            name,
            argv,
            env,
            log=self.logs_dir / f"{name}.log",
            cwd=cwd,
            mark=self.name,
            lifeline=self._lifeline,
        )
        self.processes = [other for other in self.processes if other.name != name or other.alive()]
        self.processes.append(process)
        return process

    def run_to_end(self, name: str, argv: Sequence[str], env: Mapping[str, str], *, cwd: Path) -> None:
        """Run a program with exactly this environment, and wait until it ends.

        Raises:
            ServiceUnavailable: it failed; the message has the end of its log.
        """
        process = self.launch(name, argv, env, cwd=cwd)
        try:
            while process.alive():
                time.sleep(_POLL)
        finally:
            end([process])
            self.processes.remove(process)
        if exit_code(process.pid) != 0:
            raise failure(process)

    def check(self) -> None:
        """Raise ServiceUnavailable, with the end of its log, if one of the programs has ended."""
        for process in self.processes:
            if not process.alive():
                raise failure(process)

    def serve(self, urls: Mapping[str, str]) -> None:
        """Note where the servers answer; from now on a detached stack is somebody else's to end."""
        self.urls = dict(urls)
        self._save()
        if self.detached and self._termination:
            self._termination.restore()

    def end_all(self) -> None:
        """End every program."""
        end(self.processes)
        self.processes.clear()

    def stop(self) -> None:
        """End all processes and remove their files, except for logs, state, and a detached stack's data."""
        self.end_all()
        shutil.rmtree(self._layout.run / self.name, ignore_errors=True)
        if self._termination:
            self._termination.restore()

    def _save(self) -> None:
        if self.detached:
            Record(self.name, self.urls, self.processes).write(self._layout.detached)

"""Where things are inside a checkout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders of one checkout; everything that is not committed lies under `.octospoon` or `.venv`."""

    root: Path

    @property
    def home(self) -> Path:
        """Environments, state, logs and running things."""
        return self.root / ".octospoon"

    @property
    def state(self) -> Path:
        """What outlives a stack."""
        return self.home / "state"

    @property
    def logs(self) -> Path:
        """One folder per stack."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """One folder per running stack, and the record of the detached one."""
        return self.home / "run"

    @property
    def credentials(self) -> Path:
        """The secrets of the local stack."""
        return self.state / "credentials.json"

    @property
    def detached(self) -> Path:
        """The record of the stack that `octospoon up` left running."""
        return self.run / "stack.json"

    @property
    def project(self) -> Path:
        """What the commands need to know of the deployed local stack."""
        return self.run / "project.json"

    @property
    def kept(self) -> Path:
        """One folder for each detached stack that has ended, with what it held."""
        return self.home / "kept"

    @property
    def settings(self) -> Path:
        """Class names and parameters of `octospoon up`, for the next time."""
        return self.home / "settings.json"

    def program(self, environment: str, name: str) -> Path:
        """Return a program of one of the environments."""
        return self.home / "envs" / environment / "bin" / name

    def requirements(self, name: str) -> Path:
        """Return the pinned requirement file that an environment was made from."""
        return self.root / "infra" / "requirements" / f"{name}.txt"

    def template(self, service: str) -> Path:
        """Return the folder with a service's data as it is after a first start."""
        return self.state / f"{service}-template"

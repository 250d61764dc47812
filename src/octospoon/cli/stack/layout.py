"""The folders and files of a checkout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders of a checkout. All uncommitted files are in `.octospoon` and `.venv`."""

    root: Path

    @property
    def home(self) -> Path:
        """Environments, state, logs and running things."""
        return self.root / ".octospoon"

    @property
    def state(self) -> Path:
        """Data that outlive a stack."""
        return self.home / "state"

    @property
    def logs(self) -> Path:
        """A folder for each stack."""
        return self.home / "logs"

    @property
    def data(self) -> Path:
        """The data of the detached stack, whether it runs or not."""
        return self.home / "data"

    @property
    def ports(self) -> Path:
        """The port of each server of the detached stack."""
        return self.home / "ports.json"

    @property
    def run(self) -> Path:
        """A folder for each running stack, and the record of the detached stack."""
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
        """The addresses and names of the deployed local stack, for the commands."""
        return self.run / "project.json"

    @property
    def resumed_project(self) -> Path:
        """The same description, kept with the data while the stack does not run."""
        return self.data / "project.json"

    @property
    def kept(self) -> Path:
        """A folder for each detached stack whose data cannot be used again."""
        return self.home / "kept"

    @property
    def settings(self) -> Path:
        """Class names and parameters of `octospoon up`, for the next time."""
        return self.home / "settings.json"

    def program(self, environment: str, name: str) -> Path:
        """Return the path of a program in an environment."""
        return self.home / "envs" / environment / "bin" / name

    def requirements(self, name: str) -> Path:
        """Return the pinned requirement file that an environment was made from."""
        return self.root / "infra" / "requirements" / f"{name}.txt"

    def template(self, service: str) -> Path:
        """Return the folder with the data of a service after a first start."""
        return self.state / f"{service}-template"

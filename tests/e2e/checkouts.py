"""A separate checkout for a test that runs `octospoon` as a user does, from `up` to `down`."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from PIL import Image

from octospoon.cli.deployment import LocalProject
from octospoon.cli.stack.credentials import credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[2]
LINKED = (
    ".venv",
    ".octospoon/envs",
    ".octospoon/build",
    ".octospoon/state/label-studio-template",
    ".octospoon/state/mlflow-template",
    "functions",
    "infra",
    "src",
    "template.yaml",
)
CLASSES = ("cat", "dog", "owl")


@dataclass(frozen=True)
class Checkout:
    """A folder that the commands take for a checkout, and the user's home in it.

    Attributes:
        root: the folder.
        source: the folder of the program's code, if it is another release's.
    """

    root: Path
    source: Path | None = None

    @property
    def home(self) -> Path:
        """The user's home."""
        return self.root / "home"

    @property
    def project(self) -> LocalProject:
        """The project file that `up` writes for the other commands."""
        return msgspec.json.decode(
            (self.root / ".octospoon/run/project.json").read_bytes(), type=LocalProject
        )

    @property
    def token(self) -> str:
        """Label Studio's credential."""
        return credentials(self.root / ".octospoon/state/credentials.json").token

    @property
    def password(self) -> str:
        """Label Studio's credential."""
        return credentials(self.root / ".octospoon/state/credentials.json").password

    def octospoon(self, arguments: str) -> str:
        """Run a command that must succeed; return what it printed.

        Args:
            arguments: as typed; `~` is the home here, `{label_studio}` the address of Label Studio.
        """
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment |= {"HOME": str(self.home), "COLUMNS": "200", "BROWSER": "true"}  # shows no page
        if self.source:
            environment["PYTHONPATH"] = str(self.source)
        typed = arguments.replace("~", environment["HOME"])
        if "{label_studio}" in typed:
            typed = typed.replace("{label_studio}", self.project.label_studio_url)
            environment["LABEL_STUDIO_TOKEN"] = self.token
        ran = subprocess.run(
            [self.root / ".venv/bin/octospoon", *shlex.split(typed)],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.root,
            env=environment,
        )
        assert ran.returncode == 0, f"octospoon {arguments}:\n{ran.stdout[-1500:]}\n{ran.stderr[-1500:]}"
        return ran.stdout + ran.stderr


@contextmanager
def checkout(folder: Path) -> Iterator[Checkout]:
    """Make a checkout in a folder; the stack that a command starts in it is stopped at the end."""
    for name in LINKED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    made = Checkout(folder)
    made.home.mkdir()
    try:
        yield made
    finally:
        made.octospoon("down")


def write_photos(folder: Path, name: str, numbers: Iterable[int]) -> None:
    """Write small images of a class that a model can learn: each class has a bright band at its own place.

    Args:
        folder: gets a folder of the class's name.
        name: the class, of `CLASSES`.
        numbers: of the images; each gives a file of that name with different pixels.
    """
    (folder / name).mkdir(parents=True)
    position = CLASSES.index(name)
    for number in numbers:
        pixels = np.random.default_rng([position, number]).integers(0, 100, (32, 32, 3), np.uint8)
        pixels[8 * position : 8 * position + 12] += 120
        Image.fromarray(pixels).save(folder / name / f"{number}.png")

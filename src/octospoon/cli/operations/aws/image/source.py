"""What the training image is made from. A hash of it is the image's tag, so that nothing is built twice."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.cli.deploy.package import digest
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKERFILE = Path("infra/training/Dockerfile")
_PACKAGE = Path("src/octospoon")
_BASE_IMAGE = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)
_MIRROR = "public.ecr.aws/docker/library/"
"""AWS's copy of Docker Hub's official images: Docker Hub limits how often an address may ask."""
PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}
"""Docker's name of the platform, by the values of TrainingArchitecture."""
_HASH_LENGTH = 16


@dataclass(frozen=True, slots=True)
class ImageSource:
    """The sources of one image, in a folder of their own.

    Attributes:
        folder: holds the files that the build reads, at their places in the checkout.
        platform: such as ``linux/arm64``.
        requirements: the name of the file with the packages, without its ending.
        base_image: the Dockerfile's base image.
    """

    folder: Path
    platform: str
    requirements: str
    base_image: str

    @property
    def tag(self) -> str:
        """The image's tag: packages, processor, and a hash of all that the image is made from."""
        described = f"{digest(self.folder)} {self.platform} {self.requirements}"
        processor = self.platform.partition("/")[2]
        return (
            f"{self.requirements}-{processor}-{hashlib.sha256(described.encode()).hexdigest()[:_HASH_LENGTH]}"
        )

    @property
    def mirrored_base_image(self) -> str:
        """The base image, as AWS's public registry has it."""
        return f"{_MIRROR}{self.base_image}"


def requirements_of(parameters: Mapping[str, str]) -> str:
    """Return the packages that a stack's training image needs: the name of a file, without its ending."""
    return "finetune" if parameters.get("Trainer") == "finetune" else "training"


def stage(folder: Path, parameters: Mapping[str, str], checkout: Path = Path()) -> ImageSource:
    """Copy the files that the build needs, and nothing else, from a checkout to an empty folder.

    Args:
        folder: the empty folder.
        parameters: of the template.
        checkout: of octospoon, with or without a git repository.

    Raises:
        NotConfigured: the folder is no checkout.
    """
    requirements = requirements_of(parameters)
    named = [DOCKERFILE, Path(f"infra/requirements/{requirements}.txt")]
    if missing := [path for path in named if not (checkout / path).is_file()]:
        raise NotConfigured(
            f"{missing[0]} is not here: run this in a checkout of octospoon, which has the sources of the "
            "training image. An installed package has not"
        )
    for path in [*named, *_package(checkout)]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkout / path, folder / path)
    match = _BASE_IMAGE.search((folder / DOCKERFILE).read_text(encoding="utf-8"))
    if match is None:
        raise NotConfigured(f"{DOCKERFILE} has no line ARG BASE_IMAGE=NAME")
    platform = PLATFORMS[parameters.get("TrainingArchitecture", "X86_64")]
    return ImageSource(folder, platform, requirements, match[1])


def _package(checkout: Path) -> list[Path]:
    """Return the files of the package: those that git has, or all but bytecode where there is no git."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--", str(_PACKAGE)],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = []
    tracked = [Path(name) for name in listed if name and (checkout / name).is_file()]
    if tracked:
        return tracked
    files = (path.relative_to(checkout) for path in (checkout / _PACKAGE).rglob("*") if path.is_file())
    return [path for path in files if "__pycache__" not in path.parts]

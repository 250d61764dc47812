"""Build the training image with a Docker engine of this machine, and push it."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.cli.operations.aws.image.source import DOCKERFILE
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.cli.operations.aws.image.source import ImageSource

_ANSWERS_WITHIN = 20
"""Seconds in which an engine must answer."""
_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT")
"""Build arguments that come from the environment: their values never are arguments of a process."""
_STEP = re.compile(r"(#\d+ \[[^\]]*\d+/\d+\]|Step \d+/\d+)")
_LAST_LINES = 15
# with the attestations of buildx, an image would be an index of a manifest and its description
_SETTINGS = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
_NO_EMULATION = "exec format error"


@dataclass(frozen=True, slots=True)
class Docker:
    """The Docker client of this machine, or one that takes the same arguments.

    Attributes:
        program: its name.
        progress: receives a line of text for each step.
    """

    program: str
    progress: Callable[[str], None]

    def answers(self) -> bool:
        """Return whether there is a client, and an engine that answers it."""
        try:
            done = subprocess.run(
                [self.program, "info"], capture_output=True, timeout=_ANSWERS_WITHIN, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def build(self, source: ImageSource, name: str) -> None:
        """Build an image for the platform of its sources.

        Raises:
            NotConfigured: the build failed, or made an image for another platform.
        """
        pip = [part for variable in _PIP if os.environ.get(variable) for part in ("--build-arg", variable)]
        self._run(
            [
                *("build", "--platform", source.platform),
                *("--file", str(source.folder / DOCKERFILE)),
                *("--build-arg", f"REQUIREMENTS={source.requirements}"),
                *pip,
                *("--tag", name, str(source.folder)),
            ],
            f"the training image cannot be built for {source.platform}",
        )
        processor = self._run(
            ["image", "inspect", "--format", "{{.Architecture}}", name], "the image cannot be inspected"
        ).rpartition("\n")[2]
        if f"linux/{processor}" != source.platform:
            raise NotConfigured(
                f"{self.program} built the image for linux/{processor} instead of {source.platform}: "
                "use --builder codebuild"
            )

    def push(self, name: str, user: str, password: str) -> None:
        """Sign in to the image's registry, push the image, and sign out again.

        Raises:
            NotConfigured: the registry or the client refused.
        """
        registry = name.partition("/")[0]
        self._run(
            ["login", "--username", user, "--password-stdin", registry],
            f"{self.program} cannot sign in to {registry}",
            given=password,
        )
        try:
            self._run(["push", name], f"the image cannot be pushed to {registry}")
        finally:
            # the client keeps the password until then, perhaps in a file
            subprocess.run([self.program, "logout", registry], capture_output=True, check=False)

    def _run(self, arguments: Sequence[str], failure: str, given: str | None = None) -> str:
        """Run the client, report its steps, and return its last lines."""
        last: deque[str] = deque(maxlen=_LAST_LINES)
        with subprocess.Popen(
            [self.program, *arguments],
            stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | _SETTINGS,
        ) as process:
            if process.stdin and given is not None:
                with suppress(BrokenPipeError):  # its exit status says why it reads nothing
                    process.stdin.write(given)
                    process.stdin.close()
            for line in process.stdout or ():
                last.append(line.rstrip())
                if _STEP.match(line):
                    self.progress(line.strip())
        text = "\n".join(line for line in last if line)
        if process.returncode:
            hint = (
                ". This engine cannot run programs of that processor: use --builder codebuild"
                if _NO_EMULATION in text
                else ""
            )
            raise NotConfigured(f"{failure}{hint}. The last lines of {self.program}:\n{text}")
        return text

"""Read `TrainerCommand`, and choose what the program finds in its environment."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREFIX = "OCTOSPOON_"
_PLACE = re.compile(r"\{(data|output|champion|seconds)\}")
_OURS = ("AWS_", "DAGSHUB_", "ECS_", "LABEL_STUDIO_", "MLFLOW_", PREFIX)
_SECRET = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY", re.IGNORECASE
)
_NO_FILE = "/dev/null"


@dataclass(frozen=True, slots=True)
class Places:
    """What a program is told, as variables of its environment and in its command line.

    Attributes:
        data: the folder with the data set.
        output: the empty folder for ``model.onnx``.
        champion: the ONNX file of the model in service.
        seconds: the time after which the program is ended.
    """

    data: Path
    output: Path
    champion: Path
    seconds: int

    def named(self) -> dict[str, str]:
        """Return the values by the names that a command line uses for them."""
        return {
            "data": str(self.data),
            "output": str(self.output),
            "champion": str(self.champion),
            "seconds": str(self.seconds),
        }


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line without a shell.

    Attributes:
        text: as it was set.
        words: the program and its arguments; ``{data}``, ``{output}``, ``{champion}`` and ``{seconds}`` stand
            for `Places`.
    """

    text: str
    words: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> CommandLine:
        """Split a text into words as a shell does: with quotes and backslashes, but without variables.

        Raises:
            NotConfigured: the text is empty, or a quotation has no end.
        """
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise NotConfigured(f"TrainerCommand is {text!r}: {error}") from error
        if not words or not words[0]:
            raise NotConfigured(
                "Trainer=command needs TrainerCommand, the program that trains: set the parameter, and start "
                "workers again, because they read it when they start"
            )
        return cls(text, words)

    def filled(self, places: Places) -> list[str]:
        """Return the words with the values of their places; other braces stay as they are."""
        values = places.named()
        return [_PLACE.sub(lambda match: values[match[1]], word) for word in self.words]

    def check(self, environment: Mapping[str, str]) -> None:
        """Raise NotConfigured if the program does not exist in an environment."""
        if shutil.which(self.words[0], path=environment.get("PATH", "")) is None:
            raise NotConfigured(
                f"TrainerCommand begins with {self.words[0]!r}, which is no program here: install it where "
                "the jobs run, or give its path"
            )


def environment(ours: Mapping[str, str], places: Places, scratch: Path) -> dict[str, str]:
    """Return the environment of the program: that of the job without its secrets and settings.

    It is no sandbox. The program runs as the same user, so it is trusted as the job itself is. This keeps
    secrets from being used, logged or sent somewhere by accident.

    Args:
        ours: the environment of the job.
        places: what the program is told.
        scratch: a folder for temporary files.
    """
    inherited = {
        name: value
        for name, value in ours.items()
        if not name.upper().startswith(_OURS) and not _SECRET.search(name)
    }
    variables = {PREFIX + name.upper(): value for name, value in places.named().items()}
    # AWS's libraries would find the rights of the user, or of the machine
    nobody = {
        "AWS_CONFIG_FILE": _NO_FILE,
        "AWS_SHARED_CREDENTIALS_FILE": _NO_FILE,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return inherited | nobody | variables | {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}

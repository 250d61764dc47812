"""Manifests of training data as commits of a DagsHub repository.

DagsHub's client has no time-out for uploads, asks for a sign-in if it finds no token, and takes a second to
import. So it runs in its own process (`octospoon.adapters.dagshub.upload`) with a time limit. Only that
process has the token in its environment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from octospoon.domain.errors import NotConfigured, PermanentError, ServiceUnavailable, Unauthorized
from octospoon.domain.secrets import header_secret, hidden

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 60.0
_HOST = "https://dagshub.com"
_TRACKING = re.compile(r"(https?://)(?:[^/@]*@)?([^/@]+)/([^/]+/[^/]+)\.mlflow/?")
_SAFE = "the snapshot itself is in the artifacts bucket"


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of the process: a commit, or an error with its HTTP status, 0 if unknown."""

    commit: str = ""
    error: str = ""
    status: int = 0


@dataclass(frozen=True, slots=True)
class Repository:
    """A DagsHub repository, and the token to write to it.

    Attributes:
        host: such as https://dagshub.com.
        name: owner/name.
        token: of an account that may write there; empty if none is set.
    """

    host: str
    name: str
    token: str

    @classmethod
    def of(cls, named: str, environment: Mapping[str, str]) -> Repository | None:
        """Return the named repository, else the repository in MLFLOW_TRACKING_URI, else None.

        The token is DAGSHUB_USER_TOKEN. For a tracking server on DagsHub it may also be
        MLFLOW_TRACKING_PASSWORD, which is never sent to another host.

        Raises:
            NotConfigured: the name is not owner/name.
        """
        tracking = _TRACKING.fullmatch(environment.get("MLFLOW_TRACKING_URI", "").strip())
        if not named and not tracking:
            return None
        if named and not re.fullmatch(r"[^/\s]+/[^/\s]+", named):
            raise NotConfigured(f"OCTOSPOON_DAGSHUB_REPOSITORY is {named!r}: it must be owner/name")
        token = environment.get("DAGSHUB_USER_TOKEN", "")
        if tracking is None:
            return cls(environment.get("DAGSHUB_CLIENT_HOST") or _HOST, named, token)
        scheme, host, name = tracking.groups()
        return cls(scheme + host, named or name, token or environment.get("MLFLOW_TRACKING_PASSWORD", ""))


class DagshubDatasets:
    """Implements `octospoon.ports.training.DatasetArchive`.

    Args:
        repository: to commit to.
        seconds: the time limit of a commit.
    """

    def __init__(self, repository: Repository, seconds: float = SECONDS) -> None:
        self._repository = repository
        self._seconds = seconds

    def commit(self, run_id: str, manifest: bytes) -> str:
        """Commit a run's manifest as ``datasets/<run id>/manifest.jsonl``; return the commit's id."""
        if not self._repository.token:
            raise NotConfigured(
                f"there is no token for {self._repository.name} on DagsHub: set DAGSHUB_USER_TOKEN"
            )
        # checked here and not earlier: the job still trains, and reports why nothing was committed
        token = header_secret("DAGSHUB_USER_TOKEN or MLFLOW_TRACKING_PASSWORD", self._repository.token)
        self._repository = replace(self._repository, token=token)
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "manifest.jsonl"
            file.write_bytes(manifest)
            answer = self._upload(file, f"datasets/{run_id}")
        if not answer.commit:
            raise self._failure(answer)
        return answer.commit

    def _upload(self, file: Path, folder: str) -> Answer:
        command = [sys.executable, "-m", "octospoon.adapters.dagshub.upload"]
        try:
            ended = subprocess.run(
                [*command, self._repository.name, folder, str(file)],
                env=self._environment(file.parent),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ServiceUnavailable(
                f"{self._repository.host} did not take the manifest within {self._seconds:g} s: see whether "
                f"it is down; {_SAFE}"
            ) from None
        except OSError as error:
            raise ServiceUnavailable(f"DagsHub's client could not be started: {error}") from error
        try:
            return msgspec.json.decode(ended.stdout, type=Answer)
        except msgspec.MsgspecError:
            last_line = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            return Answer(error=f"DagsHub's client ended with {ended.returncode}: {last_line}")

    def _environment(self, scratch: Path) -> dict[str, str]:
        """Return the environment of the process, without any settings of DagsHub's client."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DAGSHUB_")}
        return kept | {
            "DAGSHUB_CLIENT_HOST": self._repository.host,
            "DAGSHUB_USER_TOKEN": self._repository.token,
            "DAGSHUB_CLIENT_TOKENS_CACHE": str(scratch / "tokens"),
            "DAGSHUB_DISABLE_ANALYTICS": "1",
            "DAGSHUB_QUIET": "1",
        }

    def _failure(self, answer: Answer) -> Exception:
        name, status = self._repository.name, answer.status
        message = hidden(answer.error, self._repository.token)
        if status in (401, 403):
            return Unauthorized(
                f"DagsHub refuses the token ({status}): DAGSHUB_USER_TOKEN, or MLFLOW_TRACKING_PASSWORD, "
                f"must be that of an account which may write to {name}; {_SAFE}"
            )
        if status == 404:
            return NotConfigured(
                f"there is no repository {name} on {self._repository.host}, or the token may not see it: "
                f"create it there, or correct OCTOSPOON_DAGSHUB_REPOSITORY; {_SAFE}"
            )
        kind = ServiceUnavailable if status >= 500 or status == 429 else PermanentError
        return kind(f"DagsHub did not take the manifest: {message}; {_SAFE}")

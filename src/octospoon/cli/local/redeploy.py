"""Deploy again after each restart of LocalStack, which keeps its data and loses the deployment.

``python -m octospoon.cli.local.redeploy ARGUMENTS`` runs in a container of its own, and calls ``python -m
octospoon.cli.local.compose setup ARGUMENTS``. It always runs, so it uses the standard library only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SESSION = "localstack-session"
"""The file beside the trainer's settings with the id of the LocalStack that the template is deployed in."""
_SECONDS = 5.0
"""Between two looks at LocalStack."""


def session_of(endpoint_url: str) -> str:
    """Return the id of the LocalStack that runs now; empty if none answers.

    Args:
        endpoint_url: of LocalStack.
    """
    try:
        with urllib.request.urlopen(f"{endpoint_url}/_localstack/info", timeout=_SECONDS) as answer:  # noqa: S310 - our own server
            return str(json.load(answer)["session_id"])
    except (OSError, ValueError, KeyError):
        return ""


def deployed_session(folder: Path) -> str:
    """Return the id of the LocalStack in which the template was last deployed; empty if it never was.

    Args:
        folder: of the trainer's settings.
    """
    file = folder / SESSION
    return file.read_text() if file.exists() else ""


def look(arguments: Sequence[str]) -> bool:
    """Deploy if LocalStack answers and has nothing; return whether that was tried.

    Args:
        arguments: of `setup`.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--trainer-env", type=Path, required=True)
    given, _ = parser.parse_known_args(arguments)
    session = session_of(given.endpoint_url)
    if session in ("", deployed_session(given.trainer_env.parent)):
        return False
    command = [sys.executable, "-m", "octospoon.cli.local.compose", "setup", *arguments]
    subprocess.run(command, check=False)  # it reports its errors itself, and is called again
    return True


if __name__ == "__main__":
    while True:
        look(sys.argv[1:])
        time.sleep(_SECONDS)

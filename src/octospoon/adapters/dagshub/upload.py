"""Commit one file with DagsHub's client, in the process that `DagshubDatasets` starts.

Run ``python -m octospoon.adapters.dagshub.upload OWNER/NAME FOLDER FILE`` with DAGSHUB_USER_TOKEN set. It
prints a `datasets.Answer`. The client's `init` is never called, because it would create a missing repository
as public.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.dagshub.datasets import Answer

if TYPE_CHECKING:
    import httpx


def main(repository: str, folder: str, file: str) -> Answer:
    """Commit a file into a folder of a repository; return the commit or the error."""
    from tenacity import RetryError

    puts: list[httpx.Response] = []
    try:
        return Answer(commit=_commit(repository, folder, Path(file), puts))
    except Exception as error:  # noqa: BLE001  the client raises RuntimeError and types without a common root
        cause = error.last_attempt.exception() or error if isinstance(error, RetryError) else error
        message = getattr(cause, "details", "") or str(cause)
        return Answer(error=f"{type(cause).__name__}: {message}", status=_status(cause, message, puts))


def _commit(repository: str, folder: str, file: Path, puts: list[httpx.Response]) -> str:
    from dagshub.upload import wrapper
    from dagshub.upload.errors import UpdateNotAllowedError

    # the commit's id is only in a header of the answer, which the client does not return
    wrapper.s.event_hooks = {"response": [puts.append]}
    owner, name = repository.split("/")
    to = wrapper.Repo(owner, name, token=os.environ["DAGSHUB_USER_TOKEN"])
    summary, data = f"octospoon: {folder}", file.read_bytes()

    def upload(*, force: bool) -> None:
        files = [(file.name, io.BytesIO(data))]
        to.upload_files(files, folder, summary, versioning="git", force=force, quiet=True)

    try:
        upload(force=False)
    except UpdateNotAllowedError:  # the file is there: an earlier attempt's answer was lost
        upload(force=True)
    tag = puts[-1].headers.get("ETag", "").strip('"')
    return tag or str(wrapper.RepoAPI(repository, auth=to.auth).last_commit_sha(to.branch))


def _status(cause: BaseException, message: str, puts: list[httpx.Response]) -> int:
    """Return the HTTP status of an error; 503 if there was no answer, 0 if it is unknown."""
    import httpx

    if isinstance(cause, httpx.TransportError):
        return 503
    if puts:
        return puts[-1].status_code
    if type(cause).__name__ == "RepoNotFoundError":
        return 404
    named = re.search(r"status code (\d{3})", message)
    return int(named[1]) if named else 0


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(main(*sys.argv[1:])).decode())

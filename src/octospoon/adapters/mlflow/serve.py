"""Serve MLflow in one process: `python -m octospoon.adapters.mlflow.serve DATABASE ARTIFACTS HOST PORT`.

`mlflow server` loads MLflow in a process that only waits, and again in the process that serves. It takes
three times the processor time and twice the memory. Unlike `mlflow server`, this does not create or check
the database: run `mlflow db upgrade` before.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def serve(database: str, artifacts: str, host: str, port: int) -> None:
    """Serve until a signal ends the process.

    Args:
        database: SQLAlchemy's address of the database.
        artifacts: the folder of the artefacts, which the server hands to its clients.
        host: where it listens.
        port: where it listens.
    """
    import uvicorn  # before MLflow, which checks it to find out whether it is a server
    from mlflow import server

    def in_this_process(command: Sequence[str], extra_env: Mapping[str, str], **_: object) -> None:
        os.environ.update(extra_env)
        uvicorn.main(command[command.index("uvicorn") + 1 :])

    server._exec_cmd = in_this_process  # noqa: SLF001 - it would start another process
    server._run_server(  # noqa: SLF001 - it knows every variable that the server reads
        file_store_path=database,
        registry_store_uri=database,
        default_artifact_root="mlflow-artifacts:/",
        serve_artifacts=True,
        artifacts_only=False,
        artifacts_destination=artifacts,
        host=host,
        port=port,
        workers=1,
    )


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

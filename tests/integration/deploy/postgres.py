"""A PostgreSQL server for tests: as RDS has it, with TLS alone and a user that may make databases."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octospoon.cli.stack.services import base_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

USER, PASSWORD, DATABASE = "octospoon", "anUnguessablePassword", "label_studio"


def lacks() -> str:
    """Return which program is missing; empty if none is."""
    return ", ".join(
        name for name in ("openssl", "initdb", "psql", "createdb") if not shutil.which(name, path=search())
    )


def search() -> str:
    """Return PATH with the folders in which Debian keeps PostgreSQL's programs."""
    folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return os.pathsep.join([*folders, os.environ["PATH"]])


@contextmanager
def server(port: int) -> Iterator[None]:
    """Run a server on 127.0.0.1 at this port, with one database, from nothing."""
    folder = Path(tempfile.mkdtemp(prefix="octospoon-postgres-"))
    # PostgreSQL refuses to run as root
    user: dict[str, Any] = (
        {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    )
    if user:
        shutil.chown(folder, "postgres", "postgres")
    environment = base_environment() | {"PATH": search(), "HOME": str(folder)}

    def run(*command: str, **more: str) -> None:
        subprocess.run(
            command, cwd=folder, env=environment | more, check=True, capture_output=True, timeout=120, **user
        )

    try:
        run("initdb", "--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8")
        data = folder / "data"
        certificate = ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
        run(
            "openssl",
            "req",
            "-new",
            "-x509",
            *certificate,
            "-out",
            "data/server.crt",
            "-keyout",
            "data/server.key",
        )
        (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        sockets = f"-c unix_socket_directories={folder} -c ssl=on -c listen_addresses=127.0.0.1 -p {port}"
        run("pg_ctl", "--pgdata=data", "--log=log", "--wait", f"--options={sockets}", "start")
        try:
            role = f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{PASSWORD}'"
            owned = f"CREATE DATABASE {DATABASE} OWNER {USER}"
            for statement in (role, owned):
                run("psql", "--command", statement, PGHOST=str(folder), PGPORT=str(port), PGUSER="postgres")
            yield
        finally:
            run("pg_ctl", "--pgdata=data", "--wait", "--mode=immediate", "stop")
    finally:
        shutil.rmtree(folder)

"""The secrets of the local stack: created once, in a file that only its owner can read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Credentials:
    """How to sign in to the local Label Studio; the representation shows no secret."""

    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)

    def digest(self) -> str:
        """Return a hash that identifies these credentials and does not reveal them."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def credentials(path: Path) -> Credentials:
    """Read the credentials; create them first if there are none."""
    if not path.exists():
        _create(path)
    return Credentials(**json.loads(path.read_text())["label_studio"])


def _create(path: Path) -> None:
    made = Credentials("octospoon@localhost.test", secrets.token_urlsafe(18), secrets.token_hex(20))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"label_studio": asdict(made)}, file, indent=2)
    with contextlib.suppress(FileExistsError):  # another process created them first: use those
        os.link(draft, path)
    draft.unlink()

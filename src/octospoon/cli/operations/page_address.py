"""Where the page of a deployment keeps its files, and the address at which it is served now."""

from __future__ import annotations

import hashlib
from pathlib import Path

from octospoon.adapters.files import PRIVATE, draft_of

FOLDER = Path(".octospoon/ui")


def folder_of(endpoint: str, pool_table: str, root: Path = FOLDER) -> Path:
    """Return the folder for what the page keeps of one deployment.

    Args:
        endpoint: address of DynamoDB, which tells regions and local stacks apart.
        pool_table: name of the pool table.
        root: the folder of all deployments.
    """
    return root / hashlib.blake2b(f"{endpoint}\x1f{pool_table}".encode(), digest_size=8).hexdigest()


def write(folder: Path, address: str) -> None:
    """Store the address of a page that is served now; it holds the token, so only its owner may read it."""
    with draft_of(folder / "address", PRIVATE) as draft:
        draft.write_text(address)


def read(folder: Path) -> str:
    """Return the stored address; empty if there is none."""
    try:
        return (folder / "address").read_text()
    except FileNotFoundError:
        return ""


def forget(folder: Path) -> None:
    """Forget the address."""
    (folder / "address").unlink(missing_ok=True)

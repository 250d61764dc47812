"""Find the images in folders, with their object keys, and report what is skipped and why."""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octospoon.adapters.imaging.file_kinds import EXTENSIONS
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.addresses import why_not_shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_OTHER_IMAGES = (
    *(".arw", ".cr2", ".cr3", ".dng", ".exr", ".ico", ".jp2", ".jxl", ".nef", ".orf", ".pef", ".psd", ".raf"),
    *(".rw2", ".srw", ".svg"),
)
_LONGEST_KEY = 1024
_EXAMPLES = 3

NO_IMAGE = "the name does not end like the name of an image"
NOT_READ = "images of a format that octospoon does not read: convert them to JPEG or PNG"
HIDDEN = "hidden: the name begins with a dot"
EMPTY = "empty files"
UNREADABLE = "cannot be read: check permissions and broken links"
LOOP = "links to a folder that is in the list already"
NO_FILE = "neither a file nor a folder"
TWICE = "in the list already under another name"
LONG_KEY = f"the object key would be over {_LONGEST_KEY:,} bytes"
NOT_SHOWN = "Label Studio could not show it: remove question marks, and slashes at the start of the key"
ODD_KEY = "the name contains characters that cannot be shown: rename it"


@dataclass
class Skipped:
    """What is skipped, such as files: the number for each reason, and some examples."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        """Count something that is skipped, by the name of its file or its place in one."""
        self.counts[reason] += 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < _EXAMPLES:
            shown.append(name.encode("utf-8", "backslashreplace").decode())

    def lines(self, verb: str = "skipped") -> list[str]:
        """Return a line for each reason, with examples."""
        return [
            f"{verb} {count:,}, {reason}: {', '.join(map(repr, self.examples[reason]))}"
            + (", …" if count > len(self.examples[reason]) else "")
            for reason, count in self.counts.items()
        ]


def find(paths: Sequence[Path], prefix: str = "", skipped: Skipped | None = None) -> dict[str, Path]:
    """Return the images under these folders and files, by object key.

    The key of a file in a folder is its path below that folder. With several folders, the key begins with the
    name of the folder. The same call always gives the same keys. Folders with the same name keep as much of
    their path as is needed to tell them apart, and so do files with the same name.

    Args:
        paths: folders and files.
        prefix: put before every key.
        skipped: counts the files that are left out.

    Raises:
        BadRequest: a path does not exist.
    """
    left_out = Skipped() if skipped is None else skipped
    for path in paths:
        if not os.path.lexists(path):
            raise BadRequest(f"{path} does not exist")
    images: dict[str, Path] = {}
    taken: set[str] = set()
    for name, file in _named(paths, left_out):
        key, real = prefix + name, os.path.realpath(file)
        if real in taken or key in images:
            left_out.add(TWICE, str(file))
        elif reason := key_problem(key):
            left_out.add(reason, str(file))
        else:
            taken.add(real)
            images[key] = file
    return images


def _named(paths: Sequence[Path], skipped: Skipped) -> Iterator[tuple[str, Path]]:
    """Yield the images with their keys."""
    folders = list(dict.fromkeys(path.resolve() for path in paths if path.is_dir()))
    files = [path for path in dict.fromkeys(paths) if not path.is_dir()]
    names = {folders[0]: ""} if len(folders) == 1 else _apart(folders)
    visited: set[tuple[int, int]] = set()
    for folder in folders:
        for file in _walk(folder, visited, skipped):
            below = file.relative_to(folder).as_posix()
            yield f"{names[folder]}/{below}" if names[folder] else below, file
    apart = _apart([file.absolute() for file in files])
    for file in files:
        if reason := _reason(file):
            skipped.add(reason, str(file))
        else:
            yield apart[file.absolute()], file


def _apart(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the shortest end of each path that no other path has."""
    names = dict.fromkeys(paths, 1)
    while True:
        ends = {path: "/".join(path.parts[1:][-count:]) for path, count in names.items()}
        counts = Counter(ends.values())
        longer = [path for path in paths if counts[ends[path]] > 1 and names[path] < len(path.parts) - 1]
        if not longer:
            return ends
        for path in longer:
            names[path] += 1


def _walk(folder: Path, visited: set[tuple[int, int]], skipped: Skipped) -> Iterator[Path]:
    """Yield the images below a folder in the order of their names. Follow a link to a folder only once."""
    try:
        status = folder.stat()
        entries = sorted(folder.iterdir())
    except OSError:
        skipped.add(UNREADABLE, str(folder))
        return
    if (status.st_dev, status.st_ino) in visited:
        skipped.add(LOOP, str(folder))
        return
    visited.add((status.st_dev, status.st_ino))
    for entry in entries:
        if entry.name.startswith("."):
            skipped.add(HIDDEN, str(entry))
        elif entry.is_dir():
            yield from _walk(entry, visited, skipped)
        elif reason := _reason(entry):
            skipped.add(reason, str(entry))
        else:
            yield entry


def _reason(file: Path) -> str:
    """Return why a file is skipped; empty if it is not."""
    suffix = file.suffix.lower()
    if suffix not in EXTENSIONS:
        return NOT_READ if suffix in _OTHER_IMAGES else NO_IMAGE
    try:
        status = file.stat()
    except OSError:
        return UNREADABLE
    if not stat.S_ISREG(status.st_mode):
        return NO_FILE
    if status.st_size == 0:
        return EMPTY
    return "" if os.access(file, os.R_OK) else UNREADABLE


def key_problem(key: str) -> str:
    """Return why an image cannot be uploaded under a key; empty if it can."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return ODD_KEY
    if size > _LONGEST_KEY:
        return LONG_KEY
    if not key.isprintable():
        return ODD_KEY
    return NOT_SHOWN if why_not_shown(key) else ""

"""Check a release before it is published.

``python -m tools.release`` checks what ``make dist`` built. With ``--tag v1.2.3`` it also checks that
tag, version and changelog agree. With ``--notes FILE`` it writes the changelog's newest section for the
release page.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from packaging.metadata import Metadata
from tools.changelog import problems, project_version, sections

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).parents[1]
SOURCE_FILES = ("CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml", "template.yaml")
"""Files without which nobody could build octospoon from its source distribution."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status, 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the checkout, with the distributions in dist/"
    )
    parser.add_argument("--tag", help="the release's tag, such as v1.2.3")
    parser.add_argument("--notes", type=Path, help="the file to write the release notes to")
    options = parser.parse_args(arguments)
    version = project_version(options.root)
    history = sections((options.root / "CHANGELOG.md").read_text("utf-8"))
    errors = [*problems(history, version), *distribution_problems(options.root / "dist", version)]
    if options.tag:
        errors += tag_problems(options.tag, version, released=bool(history) and history[0].released)
    if options.notes and not errors:
        options.notes.write_text(history[0].text + "\n", "utf-8")
    sys.stderr.writelines(f"{problem}\n" for problem in errors)
    return 1 if errors else 0


def tag_problems(tag: str, version: str, *, released: bool) -> list[str]:
    """Return why a tag cannot be released.

    Args:
        tag: The tag's name.
        version: The version in pyproject.toml.
        released: Whether the newest section of the changelog has a version and a date.
    """
    errors = [] if tag == f"v{version}" else [f"the tag is {tag}, but the version is {version}"]
    return errors if released else [*errors, "the changelog's newest section has no version and date"]


def distribution_problems(folder: Path, version: str) -> list[str]:
    """Return what is wrong with the wheel and the source distribution in a folder."""
    wheel = folder / f"octospoon-{version}-py3-none-any.whl"
    source = folder / f"octospoon-{version}.tar.gz"
    files = {path.name for path in folder.glob("*")} - {".gitignore"}
    if files != {wheel.name, source.name}:
        return [f"{folder.name}/ must hold {wheel.name} and {source.name}, and holds {sorted(files)}"]
    return [*_wheel_problems(wheel, version), *_source_problems(source, version)]


def _wheel_problems(wheel: Path, version: str) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        information = f"octospoon-{version}.dist-info"
        stray = {name.split("/")[0] for name in archive.namelist()} - {"octospoon", information}
        metadata = archive.read(f"{information}/METADATA")
    return [
        *_metadata_problems(wheel.name, metadata, version),
        *(f"{wheel.name} holds {name}" for name in stray),
    ]


def _source_problems(source: Path, version: str) -> list[str]:
    top = PurePosixPath(f"octospoon-{version}")
    with tarfile.open(source) as archive:
        names = set(archive.getnames())
        member = archive.extractfile(str(top / "PKG-INFO"))
        metadata = member.read() if member else b""
    missing: Iterable[str] = (name for name in SOURCE_FILES if str(top / name) not in names)
    return [
        *_metadata_problems(source.name, metadata, version),
        *(f"{source.name} lacks {name}" for name in missing),
    ]


def _metadata_problems(name: str, content: bytes, version: str) -> list[str]:
    """Return where metadata break the standard, by which PyPI would refuse them, or name another version."""
    try:
        metadata = Metadata.from_email(content, validate=True)
    except ExceptionGroup as group:
        return [f"{name}: {error}" for error in group.exceptions]
    errors = [] if str(metadata.version) == version else [f"{name} has version {metadata.version}"]
    return errors if metadata.description else [*errors, f"{name} has no description"]


if __name__ == "__main__":
    sys.exit(main())

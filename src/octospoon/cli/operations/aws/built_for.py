"""What a built function can run on, by the names of its compiled modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_COMPILED = re.compile(r"\.cpython-3(\d+)-(x86_64|aarch64)-linux-gnu\.so")
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


def built_for(names: Iterable[str]) -> set[tuple[str, str]]:
    """Return the runtimes and architectures of compiled modules, such as ``("python3.12", "arm64")``.

    Args:
        names: of files.
    """
    matches = (match for name in names for match in _COMPILED.finditer(name))
    return {(f"python3.{match[1]}", _ARCHITECTURES[match[2]]) for match in matches}


def check_artefacts(build_dir: Path, parameters: Mapping[str, str]) -> None:
    """Check that built functions run on what the stack asks for.

    Args:
        build_dir: with one folder per function.
        parameters: with PythonRuntime and Architecture.

    Raises:
        NotConfigured: a function was built for something else.
    """
    wanted = (parameters["PythonRuntime"], parameters["Architecture"])
    for folder in sorted(path for path in build_dir.iterdir() if path.is_dir()):
        if other := built_for(path.name for path in folder.rglob("*.so")) - {wanted}:
            names = ", ".join(" on ".join(build) for build in sorted(other))
            raise NotConfigured(
                f"{folder.name} was built for {names}, but the stack runs {' on '.join(wanted)}: build again "
                f"with `make -f infra/build/Makefile aws PYTHON_VERSION={wanted[0].removeprefix('python')} "
                f"ARCHITECTURE={wanted[1]}`"
            )

"""Say how large PyTorch is before it is installed, and stop where the disk is too small.

The Makefile runs it with the environment's folder and the cache folder of uv. Both share their files if they
are on one file system.
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

GIGABYTE = 10**9
LINUX = (3.3, 6.5)
"""Gigabytes to download and on disk. PyTorch's wheels for Linux include CUDA."""
OTHERS = (0.5, 1.5)
"""The same for other systems, from the sizes of the wheels and a guess."""


def main(environment: Path, cache: Path, system: str) -> str:
    """Return a line about the installation.

    Args:
        environment: the folder that PyTorch is installed into.
        cache: the cache folder of uv.
        system: the name of the operating system, as `platform.system` has it.

    Raises:
        SystemExit: there is too little room; the message says how much is missing, and where.
    """
    download, size = LINUX if system == "Linux" else OTHERS
    line = f"· PyTorch: up to {download} GB to download, {size} GB on disk"
    wanted = _file_systems(cache, environment)
    if any(cache.glob("archive-v*/*/torch/version.py")):
        line = f"· PyTorch: in the cache of uv, {size} GB on disk"
        wanted = wanted[1:]  # the cache has its files already
    for folder in wanted:
        free = shutil.disk_usage(folder).free / GIGABYTE
        if free < size:
            raise SystemExit(
                f"{line}. {free:.1f} GB are free in {folder}: make room for {size - free:.1f} GB more, or "
                "move the checkout to a larger disk. UV_CACHE_DIR moves the cache of uv"
            )
    return line


def _file_systems(*folders: Path) -> list[Path]:
    """Return each folder, or the nearest above it that exists; only the first on each file system."""
    there = [next(each for each in (folder, *folder.parents) if each.exists()) for folder in folders]
    devices = [folder.stat().st_dev for folder in there]
    return [folder for at, folder in enumerate(there) if devices.index(devices[at]) == at]


if __name__ == "__main__":
    print(main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute(), platform.system()))

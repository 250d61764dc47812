"""Measures what decoding each case costs, each in a process of its own.

Writes JSON to standard output: name -> [megabytes, CPU seconds].
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from unit.corpus import CASES

from octospoon.adapters.imaging.decode import decode
from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from collections.abc import Callable


def peak() -> float:
    """Return the peak memory of this process since the last reset, in MB."""
    (line,) = [
        text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024 / 1e6


def measured(path: Path) -> tuple[float, float]:
    data = path.read_bytes()
    Path("/proc/self/clear_refs").write_text("5")
    before, began = peak(), time.process_time()
    with contextlib.suppress(BadImage):
        decode(data, 32, 32, "squash")
    return round(peak() - before, 1), round(time.process_time() - began, 3)


def forked(work: Callable[[], object]) -> str:
    """Call in a process of its own, so that no memory is left from what was done before; return its JSON."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read()


def main() -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path, spent = Path(folder) / "case", {}
        for case in CASES:
            forked(lambda case=case: path.write_bytes(case.make()))  # type: ignore[misc]
            spent[case.name] = json.loads(forked(lambda: measured(path)))
    json.dump(spent, sys.stdout)


if __name__ == "__main__":
    main()

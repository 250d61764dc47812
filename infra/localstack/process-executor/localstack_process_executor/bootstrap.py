"""Runs inside a function's process: `python bootstrap.py LIFELINE_FD HANDLER`.

The standard library only, because the interpreter is the function's. The lifeline is the read end of a pipe
whose only writer is LocalStack: end of file means that LocalStack is gone, however it went, and the
function's whole process group must go too. A death signal of the kernel's would not do: it fires when the
thread that started the process ends.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def end_with(lifeline: int) -> None:
    """Wait for the other side to close the pipe, then end the process group."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main(lifeline: int, handler: str) -> None:
    """Watch the lifeline and serve the handler with AWS's runtime client."""
    threading.Thread(target=end_with, args=(lifeline,), daemon=True).start()
    sys.path[0] = os.getcwd()  # noqa: PTH109 - not this file's folder: its modules would hide the function's own
    sys.argv = ["awslambdaric", handler]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

"""The start of a function's process: `python bootstrap.py LIFELINE_FD HANDLER`.

This file uses the standard library only, because it runs in the function's interpreter. The lifeline is the
read end of a pipe, and LocalStack is its only writer. End of file means that LocalStack has ended for any
reason, so the function's process group must end too. The kernel's parent death signal cannot be used: it
fires when the thread that started the process ends.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def end_with(lifeline: int) -> None:
    """Wait until the pipe is closed, then kill the process group."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main(lifeline: int, handler: str) -> None:
    """Watch the lifeline and serve the handler with AWS's runtime client."""
    threading.Thread(target=end_with, args=(lifeline,), daemon=True).start()
    sys.path[0] = os.getcwd()  # noqa: PTH109 - this file's folder would hide modules of the function
    sys.argv = ["awslambdaric", handler]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

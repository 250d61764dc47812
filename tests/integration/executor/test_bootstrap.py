"""The bootstrap of a function's process: it ends with LocalStack and hides the plug-in's modules."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from localstack_process_executor import bootstrap

from octospoon.cli.stack.process import identity

RUNTIME = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(sys.argv[1], sys.path[0], child.pid, flush=True)
try:
    import runtime_api
except ImportError:
    print("hidden", flush=True)
import time
time.sleep(300)
"""


@pytest.fixture
def function(tmp_path):
    """A function whose `awslambdaric` is a stand-in; yields its process and the pipe's other end."""
    (tmp_path / "awslambdaric.py").write_text(RUNTIME)
    read, write = os.pipe()
    command = [sys.executable, bootstrap.__file__, str(read), "app.handler"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        pass_fds=[read],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        os.close(read)
        yield process, write
        process.kill()


def test_the_group_ends_with_the_lifeline(function, tmp_path):
    process, write = function
    handler, first_folder, child = process.stdout.readline().split()
    assert handler == "app.handler"
    assert Path(first_folder) == tmp_path
    assert process.stdout.readline() == "hidden\n"
    os.close(write)
    assert process.wait(10) < 0
    while identity(int(child)):
        time.sleep(0.02)

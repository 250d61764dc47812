"""`octospoon aws image` in an account of moto: repository, image, processor, and what is done twice."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

from octospoon.cli.stack.layout import Layout

ROOT = Path(__file__).parents[3]


@pytest.mark.stack(own=True)
def test_an_image_is_stored_once_and_checked():
    python = Layout(ROOT).program("localstack", "python")
    script = Path(__file__).with_name("image_scenario.py")
    command = [str(python), str(script), sysconfig.get_path("purelib")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr

from __future__ import annotations

from pathlib import Path

from integration import elsewhere

PYTHON = elsewhere.ROOT / ".octospoon/envs/label-studio/bin/python"


def test_label_files_and_label_studio_s_own_sdk_agree() -> None:
    """Run the cases with Label Studio's own converter and interface, in their environment."""
    elsewhere.check(PYTHON, elsewhere.BORROWED, Path(__file__).with_name("sdk_cases.py"))

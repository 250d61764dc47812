"""The limits on the size of files, functions and layers."""

from __future__ import annotations

from tools import sizes


def test_files_functions_and_layers_stay_within_their_limits() -> None:
    assert sizes.problems() == []


def test_what_exceeds_a_limit_is_named(tmp_path) -> None:
    for layer in sizes.LAYERS:
        (tmp_path / "src" / "octospoon" / layer).mkdir(parents=True)
    for number in range(15):
        (tmp_path / "src" / "octospoon" / "cli" / f"module_{number}.py").touch()
    body = "    pass\n" * 40
    (tmp_path / "src" / "long.py").write_text(f"@decorated\ndef large():\n{body}" + "\n" * 300)
    assert sizes.problems(tmp_path) == [
        "cli: 15 entries, at most 14 are allowed",
        "src/long.py: 342 lines, at most 300 are allowed",
        "src/long.py: large has 42 lines, at most 40 are allowed",
    ]

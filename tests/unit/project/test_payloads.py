"""The recorded requests contain no data of a person or of a machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

PAYLOADS = Path(__file__).parents[2] / "payloads"
FILES = sorted(PAYLOADS.rglob("*.json"))
EXAMPLES = {
    *("", None, "example-secret", "example-project-token", "0123456789abcdef0123456789abcdef01234567"),
    *("Bearer example", "Basic dXNlcjpwYXNzd29yZA=="),
}
"""The values that stand for credentials; the last one is `user:password`."""
CREDENTIAL = re.compile(r"token|secret|password|authorization|cookie|api.?key", re.IGNORECASE)
PERSONAL = re.compile(r"@(?!example\.com)|\b\d{1,3}(\.\d{1,3}){3}\b|localhost|/(home|root|tmp|Users|work)/")


def fields(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Return every scalar with the name of its field."""
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in fields(inner, key)]
    if isinstance(value, list):
        return [pair for inner in value for pair in fields(inner, name)]
    return [(name, value)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PAYLOADS).as_posix())
def test_a_payload_is_sanitised(file: Path) -> None:
    text = file.read_text("utf-8")

    credentials = {value for name, value in fields(json.loads(text)) if CREDENTIAL.search(name)}

    assert credentials <= EXAMPLES
    assert not PERSONAL.search(text)


def test_the_payloads_are_there() -> None:
    assert len(FILES) >= 22

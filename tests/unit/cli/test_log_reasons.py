from __future__ import annotations

import json

from octospoon.cli.operations.log_reasons import reason


def test_the_reason_is_the_errors_own_line() -> None:
    entry = {
        "level": "ERROR",
        "message": "not scored",
        "exception": "Traceback (most recent call last):\n  a.py, line 1\nServiceUnavailable: no model",
    }

    assert reason(json.dumps(entry)) == "ServiceUnavailable: no model"
    assert reason(json.dumps(entry | {"exception": None})) == "not scored"


def test_other_lines_are_no_reasons() -> None:
    assert reason("START RequestId: 1") == ""
    assert reason('{"level": "INFO", "message": "scored"}') == ""
    assert reason("5") == ""

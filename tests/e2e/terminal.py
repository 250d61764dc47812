"""Run a command in a terminal and answer its questions, as a person does."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WAIT = 600.0
_QUESTION = re.compile(rb"[^\r\n]*: $|[^\r\n]*\[y/N\]:? ?$")
"""The last line of a program that waits for an answer."""


class Unanswered(AssertionError):
    """A program asked a question that has no answer."""


def run(
    command: Sequence[str], answers: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[int, str, list[str]]:
    """Run a command in a terminal.

    Args:
        command: with its arguments.
        answers: by a part of the question; each question must have one.
        environment: of the program.

    Returns:
        Exit status, all output, and the questions in their order.

    Raises:
        Unanswered: a question has no answer, or the program took too long.
    """
    terminal, inside = pty.openpty()
    child = subprocess.Popen(
        list(command), stdin=inside, stdout=inside, stderr=inside, env=environment, start_new_session=True
    )
    os.close(inside)
    shown, answered, questions, until = b"", 0, list[str](), time.monotonic() + _WAIT
    try:
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 0.5)[0]:
                match = _QUESTION.search(shown[answered:])
                if match:
                    question = match[0].decode()
                    questions.append(question)
                    answered = len(shown)
                    os.write(terminal, f"{_answer(question, answers)}\n".encode())
                continue
            try:
                read = os.read(terminal, 65536)
            except OSError:  # Linux says so when the program has ended
                read = b""
            if not read:
                return child.wait(), shown.decode(), questions
            shown += read
    finally:
        os.close(terminal)
        child.kill()
        child.wait()
    raise Unanswered(f"{command} did not end: {shown.decode()[-2000:]}")


def _answer(question: str, answers: Mapping[str, str]) -> str:
    for part, answer in answers.items():
        if part in question:
            return answer
    raise Unanswered(question)

"""A training job with digits and a program as its trainer."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unit.training.stack import World, starter

from octospoon.cli.datasets import digits
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.training.command.command_line import CommandLine
from octospoon.training.command.trainer import CommandTrainer

if TYPE_CHECKING:
    from octospoon.training.context import TrainingPorts

ROOT = Path(__file__).parents[3]
EXAMPLE = f"{shlex.quote(sys.executable)} {ROOT / 'examples/trainers/scikit_learn.py'}"


def labelled(count: int = 60, audit: int = 12) -> World:
    made = World()
    for index in range(count):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < audit)
    made.serve(starter())
    return made


def with_program(made: World, text: str, seconds: float = 600.0, *, balanced: bool = False) -> TrainingPorts:
    """Return the ports of a job whose trainer is a program that gets half of the seconds, or more."""
    until = time.monotonic() + seconds
    trainer = CommandTrainer(made.images, CommandLine.read(text), CLASSIFICATION, until, balanced=balanced)
    return replace(made.ports, trainer=trainer)


def shell(script: str) -> str:
    return f"sh -c {shlex.quote(script)}"


def python(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"

"""Runs one training job with a clock that is ahead: trainer.py SECONDS JOB."""

from __future__ import annotations

import sys

from octospoon.runtime import aws
from octospoon.training.__main__ import main


class Later:
    """A clock that is ahead by some seconds."""

    def __init__(self, offset: float) -> None:
        self._offset, self._clock = offset, aws.SystemClock()

    def now(self) -> float:
        return self._clock.now() + self._offset


if __name__ == "__main__":
    aws.CLOCK = Later(float(sys.argv[1]))  # type: ignore[assignment]
    sys.exit(main(["run", "--job-id", sys.argv[2]]))

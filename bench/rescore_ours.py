"""The child of bench/rescore.py that measures the real handler; started by it, with its server running.

python -m bench.rescore_ours CORES
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

from bench.score_ours import load_app, peak_mb

from octospoon.domain.keys import SHARDS

BATCH = 4
TURN = 1


class Context:
    """Of an invocation as long as the template gives it."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 300_000


def main() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
    app = load_app("rescore")
    messages = [
        {"messageId": str(shard), "body": json.dumps({"turn": TURN, "shard": shard})}
        for shard in range(SHARDS)
    ]
    app.use_case().model()  # what a cold start takes is another benchmark's
    wall, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(sys.stderr):  # where the handler's metrics go
        for start in range(0, SHARDS, BATCH):
            answer = app.handler({"Records": messages[start : start + BATCH]}, Context)
            if answer["batchItemFailures"]:
                raise SystemExit(f"not every shard was re-scored: {answer}")
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(spent | {"peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()

"""Measure the real re-scoring handler; bench/rescore.py starts this process while its server runs.

python -m bench.rescore_ours CORES
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import deque
from dataclasses import replace

from bench.score_ours import load_app, peak_mb

BATCH = 4


class Context:
    """The context of an invocation with the template's timeout."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 300_000


def main() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
    app = load_app("rescore")
    queue: deque[str] = deque()
    case = replace(app.use_case(), enqueue=queue.append)
    vars(app)["use_case"] = lambda: case
    case.model()  # another benchmark measures cold starts
    wall, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(sys.stderr):  # where the handler's metrics go
        case.champion_changed()
        while queue:
            bodies = [queue.popleft() for _ in range(min(BATCH, len(queue)))]
            records = [{"messageId": str(i), "body": body} for i, body in enumerate(bodies)]
            answer = app.handler({"Records": records}, Context)
            if answer["batchItemFailures"]:
                raise SystemExit(f"not every shard was re-scored: {answer}")
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(spent | {"peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()

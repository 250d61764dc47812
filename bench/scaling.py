"""Compute the costs of 10,000 to 100 million images a day, for the table of docs/explanation/scaling.md.

The inputs are the measured times below, each with the command that measures it, the list prices in
octospoon/cli/operations/prices.py, and the simulation of bench/queueing.py. Nothing is deployed. A test
compares the document with the output of

    python -m bench.scaling
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from bench.queueing import Function, Run, simulate

from octospoon.cli.operations import prices

if TYPE_CHECKING:
    from collections.abc import Callable

PER_DAY = {"10,000": 10_000, "1,000,000": 1_000_000, "100,000,000": 100_000_000}
PEAK = 3.0
"""Rate in the busiest hour, as a multiple of the mean rate."""
MINUTES = 10
"""Length of the simulated part of the busiest hour."""

EACH, FIXED, COLD = 0.021, 0.055, 1.0
"""Seconds for one image, for one invocation, and for one cold start.

An image is a 1920×1080 JPEG; the model has the size of MobileNetV2, on one core (`make bench-score`). An
invocation has a first read and a last write. A cold start is twice the time of `make bench-cold`, because AWS
has its own part in it."""
BATCH, WINDOW, CONCURRENCY = 100, 1.0, 1000
"""Batch size and window in seconds of the template, and the default concurrency quota of an AWS account."""
ROW_BYTES, PICTURE_BYTES, LOG_BYTES = 2_650, 500_000, 60
"""Bytes of a pool row with 768 float16 numbers and its index entries, of an image, and of its log lines."""
RESCORED_A_SECOND, RESCORE_UNITS, RESCORE_READ_UNITS, LOOK_UNITS = 2_500, 5, 1.02, 0.025
"""The cost of re-scoring: rows a second on one core (`make bench-rescore`), then units for each row.

A row takes write units for itself and its index entries, and read units for itself and its entry in the index
of its day. The last number is the read units of the index entry that shows whether a row is outdated."""
RANK_READS = 6_000
"""Items that are read for a labelling batch of 50 (`make bench-select`), at most half a read unit each."""
SHARDS, SHARD_UNITS = 16, 1000
"""Shards of the pool, and write units a second for each. A shard of an index begins as one partition."""
MOVED_UNITS = 2
"""Write units of an index for a row whose priority changes."""
POOL_DAYS = 30


@dataclass(frozen=True)
class Day:
    """The costs for one number of images a day."""

    images: int
    peak: Run

    @property
    def batch(self) -> float:
        """Images in each invocation at the peak."""
        return self.peak.batch

    @property
    def scoring(self) -> float:
        """Dollars a day for the scoring function on arm64."""
        seconds = self.peak.busy / len(self.peak.arrivals)
        return self.images * prices.lambda_dollars(seconds, prices.MB_A_CORE, self.batch, "arm64")

    @property
    def around(self) -> float:
        """Dollars a day for requests to the bucket, the queue and the table, and for logs."""
        return self.images * (
            prices.S3_PUT + prices.around_dollars(self.batch) + prices.LOGS_GB * LOG_BYTES / 1e9
        )

    @property
    def pool(self) -> int:
        """Rows of the pool, which holds the images of POOL_DAYS days."""
        return POOL_DAYS * self.images

    @property
    def storage(self) -> float:
        """Dollars a day for storing the pool and its images."""
        gigabytes = self.pool / 1e9
        a_month = gigabytes * (ROW_BYTES * prices.DYNAMODB_GB_MONTH + PICTURE_BYTES * prices.S3_GB_MONTH)
        return a_month * 12 / 365

    def rescoring(self, days: int) -> float:
        """Dollars for re-scoring the rows of the newest days with one new head."""
        compute = prices.lambda_dollars(1 / RESCORED_A_SECOND, prices.MB_A_CORE, 100, "arm64")
        units = RESCORE_UNITS * prices.DYNAMODB_WRITE_UNIT + RESCORE_READ_UNITS * prices.DYNAMODB_READ_UNIT
        look = self.pool * LOOK_UNITS * prices.DYNAMODB_READ_UNIT
        return days * self.images * (compute + units) + look

    @property
    def rescoring_hours(self) -> float:
        """Hours for re-scoring the whole pool with one new head, with all 16 shards at the same time."""
        return self.pool / (SHARDS * min(RESCORED_A_SECOND, SHARD_UNITS / MOVED_UNITS)) / 3600


def peak(images: int, concurrency: int = CONCURRENCY) -> Run:
    """Simulate MINUTES of the busiest hour, with Poisson arrivals, for this number of images a day."""
    rate = PEAK * images / 86_400
    count = max(20, round(60 * MINUTES * rate))
    arrivals = np.cumsum(np.random.default_rng(0).exponential(1 / rate, count))
    return simulate(arrivals, Function(BATCH, WINDOW, FIXED, EACH, cold=COLD, limit=concurrency))


LINES: dict[str, Callable[[Day], str]] = {
    "at the peak, images a second": lambda day: f"{PEAK * day.images / 86_400:,.1f}",
    "images an invocation": lambda day: f"{day.batch:,.1f}",
    "functions at once": lambda day: f"{day.peak.at_once:,}",
    "upload to row, p50": lambda day: f"{np.percentile(day.peak.latencies, 50):,.1f} s",
    "upload to row, p99": lambda day: f"{np.percentile(day.peak.latencies, 99):,.1f} s",
    "scoring, a day": lambda day: money(day.scoring),
    "S3, SQS, DynamoDB, logs, a day": lambda day: money(day.around),
    f"keeping {POOL_DAYS} days' rows and images, a day": lambda day: money(day.storage),
    "one labelling batch of 50": lambda _: money(RANK_READS * 0.5 * prices.DYNAMODB_READ_UNIT),
    f"a new head over {POOL_DAYS} days' rows": lambda day: money(day.rescoring(POOL_DAYS)),
    "the same, at least": lambda day: duration(day.rescoring_hours),
    "a new head over the newest day's rows (`RescoreDays=1`)": lambda day: money(day.rescoring(1)),
}


def table() -> str:
    """Return the table of the document, in Markdown."""
    days = {name: Day(images, peak(images)) for name, images in PER_DAY.items()}
    head = f"| images a day | {' | '.join(days)} |\n|---|{'---:|' * len(days)}"
    return "\n".join(
        [head, *(f"| {name} | {' | '.join(map(say, days.values()))} |" for name, say in LINES.items())]
    )


def money(dollars: float) -> str:
    return (
        f"${dollars:,.0f}" if dollars >= 100 else f"${dollars:.2f}" if dollars >= 0.01 else f"${dollars:.5f}"
    )


def duration(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


if __name__ == "__main__":
    print(table())

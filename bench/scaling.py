"""What 10,000, a million and a hundred million images a day take: the table of docs/explanation/scaling.md.

From measured milliseconds (below, with the command that measures each), the list prices in
octospoon/cli/operations/prices.py and the simulation of bench/queueing.py: nothing is run.
A test holds the document to what this prints:

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
"""The busiest hour has this many times the mean rate."""
MINUTES = 10
"""Of the busiest hour, that are simulated."""

EACH, FIXED, COLD = 0.021, 0.055, 1.0
"""Seconds of an image (1920×1080 JPEG, a model of MobileNetV2's size, one core: `make bench-score`), of an
invocation (first read, last write), and of a cold start (twice `make bench-cold`'s, for AWS's own part)."""
BATCH, WINDOW, CONCURRENCY = 100, 1.0, 1000
"""Of the template, and the default quota of an account."""
ROW_BYTES, PICTURE_BYTES, LOG_BYTES = 2_650, 500_000, 60
"""Of a pool row with its index entries (768 numbers of 16 bits in it), a picture, an image's share of logs"""
RESCORED_A_SECOND, RESCORE_UNITS, RESCORE_READ_UNITS, LOOK_UNITS = 2_500, 5, 1.02, 0.025
"""Rows a second of a core (`make bench-rescore`); write units of a row, whose priority moves in an index;
read units of a row with its entry among the day's; those of the entry by which an outdated row is found."""
RANK_READS = 3_500
"""Items that a labelling batch of 50 reads (`make bench-select`), of half a read unit at most."""
SHARDS, SHARD_UNITS = 16, 1000
"""Of the pool, and write units a second of one partition, which one shard of an index is at first."""
MOVED_UNITS = 2
"""Write units that an index takes for a row whose priority moves."""
POOL_DAYS = 30


@dataclass(frozen=True)
class Day:
    """One number of images a day."""

    images: int
    peak: Run

    @property
    def batch(self) -> float:
        """Images an invocation at the peak."""
        return self.peak.batch

    @property
    def scoring(self) -> float:
        """Dollars a day of the scoring function on arm64."""
        seconds = self.peak.busy / len(self.peak.arrivals)
        return self.images * prices.lambda_dollars(seconds, prices.MB_A_CORE, self.batch, "arm64")

    @property
    def around(self) -> float:
        """Dollars a day of what stands around it: bucket, queue, table, logs."""
        return self.images * (
            prices.S3_PUT + prices.around_dollars(self.batch) + prices.LOGS_GB * LOG_BYTES / 1e9
        )

    @property
    def pool(self) -> int:
        """Rows of the pool, which keeps POOL_DAYS days' images."""
        return POOL_DAYS * self.images

    @property
    def storage(self) -> float:
        """Dollars a day of keeping the pool and its pictures."""
        gigabytes = self.pool / 1e9
        a_month = gigabytes * (ROW_BYTES * prices.DYNAMODB_GB_MONTH + PICTURE_BYTES * prices.S3_GB_MONTH)
        return a_month * 12 / 365

    def rescoring(self, days: int) -> float:
        """Dollars of one new head over the newest days' rows of the pool."""
        compute = prices.lambda_dollars(1 / RESCORED_A_SECOND, prices.MB_A_CORE, 100, "arm64")
        units = RESCORE_UNITS * prices.DYNAMODB_WRITE_UNIT + RESCORE_READ_UNITS * prices.DYNAMODB_READ_UNIT
        look = self.pool * LOOK_UNITS * prices.DYNAMODB_READ_UNIT
        return days * self.images * (compute + units) + look

    @property
    def rescoring_hours(self) -> float:
        """Hours of one new head over the whole pool, all of its 16 shards at once."""
        return self.pool / (SHARDS * min(RESCORED_A_SECOND, SHARD_UNITS / MOVED_UNITS)) / 3600


def peak(images: int, concurrency: int = CONCURRENCY) -> Run:
    """Simulate some minutes of the busiest hour of a day with so many images, Poisson arrivals."""
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
    f"keeping {POOL_DAYS} days' rows and pictures, a day": lambda day: money(day.storage),
    "one labelling batch of 50": lambda _: money(RANK_READS * 0.5 * prices.DYNAMODB_READ_UNIT),
    f"a new head over {POOL_DAYS} days' rows": lambda day: money(day.rescoring(POOL_DAYS)),
    "the same, at least": lambda day: duration(day.rescoring_hours),
    "a new head over the newest day's rows (`RescoreDays=1`)": lambda day: money(day.rescoring(1)),
}


def table() -> str:
    """Return the document's table, in Markdown."""
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

"""What scoring a million pictures costs on Lambda, from measured milliseconds and megabytes."""

from __future__ import annotations

import json
from pathlib import Path

PRICES = json.loads(Path(__file__).with_name("prices.json").read_text())
MB_A_CORE = 1769
"""Memory of a function at which it has one whole core; processor time is given in proportion."""
SPARE = 1.5
"""The least memory setting is this many times the measured peak."""
MILLION = 1_000_000


def memory(peak_mb: float, cores: int) -> int:
    """Return the memory setting in MB: as many cores as were measured, and room enough."""
    return max(MB_A_CORE * cores, int(SPARE * peak_mb))


def lambda_dollars(wall: float, megabytes: int, batch: int, architecture: str) -> float:
    """Return the dollars for a million pictures of `wall` seconds each, in batches."""
    compute = wall * megabytes / 1024 * PRICES["lambda_gb_second"][architecture]
    return float(MILLION * (compute + PRICES["lambda_request"] / batch))


def around_dollars(batch: int, write_units: int = 4) -> float:
    """Return the dollars for a million pictures of what is not Lambda.

    One read from S3; of the queue one message sent, and a receive and a deletion a batch of ten; of the
    pool a row of up to 2 kB and its entries in two indexes.
    """
    queue = PRICES["sqs_request"] * (1 + 2 / min(batch, 10))
    return float(MILLION * (PRICES["s3_get"] + queue + PRICES["dynamodb_write_unit"] * write_units))


def show(found: dict[str, dict[str, float]], cores: int, batch: int) -> None:
    """Print a line for each configuration, by its ``wall`` (seconds a picture) and ``peak_mb``."""
    print(f"\ndollars for a million pictures at the measured wall time ({PRICES['source']})")
    print(f"{'':24}{'memory MB':>10}{'arm64':>9}{'x86_64':>9}{'naive x86_64':>14}")
    for name, row in found.items():
        megabytes = memory(row["peak_mb"], cores)
        ours = [lambda_dollars(row["wall"], megabytes, batch, kind) for kind in ("arm64", "x86_64")]
        line = f"{name:24}{megabytes:10}{ours[0]:9.2f}{ours[1]:9.2f}"
        if "naive" in row:
            line += f"{lambda_dollars(row['naive'], megabytes, 1, 'x86_64'):14.2f}"
        print(line)
    print(f"beside it, whatever the design: S3, SQS and DynamoDB {around_dollars(batch):.2f}")
    print(
        f"recommended: {MB_A_CORE} MB a core; less makes each picture slower and none cheaper. "
        "arm64 is taken to be as fast as this machine: measure there before you choose"
    )

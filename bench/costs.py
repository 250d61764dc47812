"""Compute the price of scoring a million images on Lambda, from measured milliseconds and megabytes."""

from __future__ import annotations

from octospoon.cli.operations.prices import MB_A_CORE, SOURCE, around_dollars, lambda_dollars

SPARE = 1.5
"""The smallest memory setting, as a multiple of the measured peak."""
MILLION = 1_000_000


def memory(peak_mb: float, cores: int) -> int:
    """Return the memory setting in MB that gives the measured cores and enough memory."""
    return max(MB_A_CORE * cores, int(SPARE * peak_mb))


def show(costs: dict[str, dict[str, float]], cores: int, batch: int) -> None:
    """Print a line for each configuration, from its ``wall`` (seconds per image) and ``peak_mb``."""
    print(f"\ndollars for a million images at the measured wall time ({SOURCE})")
    print(f"{'':24}{'memory MB':>10}{'arm64':>9}{'x86_64':>9}{'naive x86_64':>14}")
    for name, row in costs.items():
        megabytes = memory(row["peak_mb"], cores)
        ours = [MILLION * lambda_dollars(row["wall"], megabytes, batch, kind) for kind in ("arm64", "x86_64")]
        line = f"{name:24}{megabytes:10}{ours[0]:9.2f}{ours[1]:9.2f}"
        if "naive" in row:
            line += f"{MILLION * lambda_dollars(row['naive'], megabytes, 1, 'x86_64'):14.2f}"
        print(line)
    print(f"in addition, for every design: S3, SQS and DynamoDB {MILLION * around_dollars(batch):.2f}")
    print(
        f"recommended: {MB_A_CORE} MB a core; less makes each picture slower and none cheaper. "
        "arm64 is taken to be as fast as this machine: measure there before you choose"
    )

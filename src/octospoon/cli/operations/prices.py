"""What scoring costs on AWS, from list prices."""

from __future__ import annotations

import math

SOURCE = (
    "AWS price lists, us-east-1, on demand, without free tiers and savings plans; "
    "check them before you rely on them"
)
READ = "2026-11"
"""The month in which they were read."""
LAMBDA_GB_SECOND = {"arm64": 0.0000133334, "x86_64": 0.0000166667}
LAMBDA_REQUEST = 0.0000002
S3_GET = 0.0000004
SQS_REQUEST = 0.0000004
S3_PUT = 0.000005
S3_LIST = 0.000005
S3_GB_MONTH = 0.023
ECR_GB_MONTH = 0.10
DYNAMODB_WRITE_UNIT = 0.000000625
DYNAMODB_READ_UNIT = 0.000000125
DYNAMODB_GB_MONTH = 0.25
LOGS_GB = 0.50
MB_A_CORE = 1769
"""Memory at which a function has one whole core. Lambda gives processor time in proportion to memory."""


def lambda_dollars(seconds: float, megabytes: int, batch: float, architecture: str) -> float:
    """Return the dollars for one image of `seconds` in a function of this memory, in batches."""
    compute = seconds * megabytes / 1024 * LAMBDA_GB_SECOND[architecture]
    return compute + LAMBDA_REQUEST / batch


def write_units(dim: int) -> int:
    """Return the write units of a row with an embedding of `dim` numbers and its entries in three indexes.

    A number takes two bytes, and the rest of a row up to 900. A write unit is a kilobyte.
    """
    return max(2, math.ceil((2 * dim + 900) / 1024)) + 3


def around_dollars(batch: float, write_units: int = 5) -> float:
    """Return the dollars for one image, without Lambda.

    These are one read from S3; one message sent, and a share of the receive and the deletion of a batch of
    ten; and one row of the pool of up to 2 kB, with its entries in three indexes.
    """
    queue = SQS_REQUEST * (1 + 2 / min(batch, 10))
    return S3_GET + queue + DYNAMODB_WRITE_UNIT * write_units

"""What scoring costs on AWS: list prices, and what follows from them for some images."""

from __future__ import annotations

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
S3_GB_MONTH = 0.023
DYNAMODB_WRITE_UNIT = 0.000000625
DYNAMODB_READ_UNIT = 0.000000125
DYNAMODB_GB_MONTH = 0.25
LOGS_GB = 0.50
MB_A_CORE = 1769
"""Memory of a function at which it has one whole core; processor time is given in proportion."""


def lambda_dollars(seconds: float, megabytes: int, batch: float, architecture: str) -> float:
    """Return the dollars for one image of `seconds` in a function of this memory, in batches."""
    compute = seconds * megabytes / 1024 * LAMBDA_GB_SECOND[architecture]
    return compute + LAMBDA_REQUEST / batch


def around_dollars(batch: float, write_units: int = 5) -> float:
    """Return the dollars for one image of what is not Lambda.

    One read from S3; of the queue one message sent, and a receive and a deletion a batch of ten; of the
    pool a row of up to 2 kB and its entries in three indexes.
    """
    queue = SQS_REQUEST * (1 + 2 / min(batch, 10))
    return S3_GET + queue + DYNAMODB_WRITE_UNIT * write_units

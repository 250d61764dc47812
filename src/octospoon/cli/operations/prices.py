"""The one list of prices, and what scoring costs by it."""

from __future__ import annotations

import math

SOURCE = (
    "AWS price lists, us-east-1, on demand, without free tiers and savings plans; "
    "check them before you rely on them"
)
READ = "2026-11"
"""The month in which they were written down."""
HOURS = 730
"""The hours of a month, as AWS counts them."""


class Price(float):
    """A list price of us-east-1 in dollars.

    Attributes:
        unit: what it is for.
        page: the page of aws.amazon.com that has the price list, below ``/``.
        seen: an independent page that states the same, and its date; empty if none was found.
    """

    unit: str
    page: str
    seen: str

    def __new__(cls, dollars: float, unit: str, page: str, seen: str = "") -> Price:
        """Return a price, which calculates as a number."""
        price = super().__new__(cls, dollars)
        price.unit, price.page, price.seen = unit, page, seen
        return price


_LAMBDA = "git.mcrn.ar, 2026-05"
_DYNAMODB = "airbyte.com, 2025-07"
_CLOUDWATCH = "factualminds.com, 2026-06"
_FARGATE = "wring.co, 2026-03"
_RDS = "infratally.com, 2026"

LAMBDA_GB_SECOND = {
    "arm64": Price(0.0000133334, "GB-second of Lambda, arm64", "lambda/pricing", _LAMBDA),
    "x86_64": Price(0.0000166667, "GB-second of Lambda, x86_64", "lambda/pricing", _LAMBDA),
}
LAMBDA_REQUEST = Price(0.0000002, "invocation", "lambda/pricing", _LAMBDA)
S3_GET = Price(0.0000004, "GET of S3", "s3/pricing")
S3_PUT = Price(0.000005, "PUT of S3", "s3/pricing")
S3_LIST = Price(0.000005, "LIST of S3", "s3/pricing")
S3_GB_MONTH = Price(0.023, "GB and month in S3", "s3/pricing")
SQS_REQUEST = Price(0.0000004, "request to SQS", "sqs/pricing")
DYNAMODB_WRITE_UNIT = Price(0.000000625, "write unit of DynamoDB", "dynamodb/pricing/on-demand", _DYNAMODB)
DYNAMODB_READ_UNIT = Price(0.000000125, "read unit of DynamoDB", "dynamodb/pricing/on-demand", _DYNAMODB)
DYNAMODB_GB_MONTH = Price(0.25, "GB and month in DynamoDB", "dynamodb/pricing/on-demand")
DYNAMODB_BACKUP_GB_MONTH = Price(0.20, "GB and month of point-in-time recovery", "dynamodb/pricing/on-demand")
ECR_GB_MONTH = Price(0.10, "GB and month of images in ECR", "ecr/pricing")
CODEBUILD_MINUTE = Price(0.01, "minute of CodeBuild, general1.medium", "codebuild/pricing", "c3x.dev")
LOGS_GB = Price(0.50, "GB of logs, written", "cloudwatch/pricing", _CLOUDWATCH)
LOGS_GB_MONTH = Price(0.03, "GB and month of logs, kept", "cloudwatch/pricing")
METRIC_MONTH = Price(0.30, "metric and month", "cloudwatch/pricing", "signoz.io, 2026-02")
ALARM_MONTH = Price(0.10, "alarm and month", "cloudwatch/pricing")
DASHBOARD_MONTH = Price(3.00, "dashboard and month", "cloudwatch/pricing", _CLOUDWATCH)
SECRET_MONTH = Price(0.40, "secret and month", "secrets-manager/pricing", "hivebook.wiki")
SECRET_CALL = Price(0.000005, "reading of a secret", "secrets-manager/pricing", "hivebook.wiki")
KEY_MONTH = Price(1.00, "KMS key and month", "kms/pricing", "cloudburn.io, 2026-03")
EVENT = Price(0.000001, "event on EventBridge", "eventbridge/pricing")
ENDPOINT_HOUR = Price(0.01, "interface endpoint, subnet and hour", "privatelink/pricing")
NAT_HOUR = Price(0.045, "NAT gateway and hour", "vpc/pricing")
ADDRESS_HOUR = Price(0.005, "public IPv4 address and hour", "vpc/pricing")
FARGATE_CPU_HOUR = Price(0.04048, "vCPU of Fargate and hour, x86_64", "fargate/pricing", _FARGATE)
FARGATE_GB_HOUR = Price(0.004445, "GB of Fargate and hour, x86_64", "fargate/pricing", _FARGATE)
GPU_MACHINE_HOUR = {
    "g4dn.xlarge": Price(0.526, "g4dn.xlarge and hour", "ec2/pricing/on-demand"),
    "g5.xlarge": Price(1.006, "g5.xlarge and hour", "ec2/pricing/on-demand", "factualminds.com, 2026-06"),
    "g6.xlarge": Price(0.8048, "g6.xlarge and hour", "ec2/pricing/on-demand"),
}
DISK_GB_MONTH = Price(0.08, "GB and month of gp3 in EBS", "ebs/pricing")
BALANCER_HOUR = Price(
    0.0225, "load balancer and hour", "elasticloadbalancing/pricing", "cloud-horizons.com, 2026-05"
)
BALANCER_UNIT_HOUR = Price(
    0.008, "capacity unit and hour", "elasticloadbalancing/pricing", "cloud-horizons.com, 2026-05"
)
DATABASE_HOUR = {
    "db.t4g.micro": Price(0.016, "db.t4g.micro and hour", "rds/postgresql/pricing", _RDS),
    "db.t4g.small": Price(0.032, "db.t4g.small and hour", "rds/postgresql/pricing", _RDS),
    "db.t4g.medium": Price(0.065, "db.t4g.medium and hour", "rds/postgresql/pricing", _RDS),
}
DATABASE_GB_MONTH = Price(0.115, "GB and month of gp3 in RDS", "rds/postgresql/pricing", "usage.ai, 2026-06")
MB_A_CORE = 1769
"""Memory at which a function has one whole core. Lambda gives processor time in proportion to memory."""


def every_price() -> list[Price]:
    """Return the whole list, in its order."""
    prices: list[Price] = []
    for value in globals().values():
        several = value.values() if isinstance(value, dict) else [value]
        prices += [price for price in several if isinstance(price, Price)]
    return prices


def lambda_dollars(seconds: float, megabytes: int, batch: float, architecture: str) -> float:
    """Return the dollars for one image of `seconds` in a function of this memory, in batches."""
    compute = seconds * megabytes / 1024 * LAMBDA_GB_SECOND[architecture]
    return compute + LAMBDA_REQUEST / batch


def write_units(dim: int, boxes: int = 0) -> int:
    """Return the write units of a row with an embedding of `dim` numbers and its entries in three indexes.

    A number takes two bytes, a box twelve, and the rest of a row up to 900. A write unit is a kilobyte.
    """
    return max(2, math.ceil((2 * dim + 12 * boxes + 900) / 1024)) + 3


def around_dollars(batch: float, write_units: int = 5) -> float:
    """Return the dollars for one image, without Lambda.

    These are one read from S3; one message sent, and a share of the receive and the deletion of a batch of
    ten; and one row of the pool of up to 2 kB, with its entries in three indexes.
    """
    queue = SQS_REQUEST * (1 + 2 / min(batch, 10))
    return S3_GET + queue + DYNAMODB_WRITE_UNIT * write_units

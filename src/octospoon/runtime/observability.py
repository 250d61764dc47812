"""Structured logs and metrics, by Powertools."""

from __future__ import annotations

import logging
import os
import warnings

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from octospoon.runtime.settings import STACK

NAMESPACE = "octospoon"


def stack_name() -> str:
    """Return the name of the CloudFormation stack; empty outside of one."""
    return os.environ.get(STACK, "")


def make_logger(service: str) -> Logger:
    """Return the function's logger; the loggers of octospoon's modules use its handlers."""
    logger = Logger(service=service, log_uncaught_exceptions=True)
    package = logging.getLogger("octospoon")
    package.handlers = list(logger.handlers)
    package.setLevel(logger.log_level)
    package.propagate = False
    return logger


def make_metrics(service: str) -> Metrics:
    """Return the function's metrics; the handler flushes them after every invocation.

    Their dimensions are `service` and `stack`, so that two stacks in one region have metrics of their own.
    Without the variable `STACK`, which the template sets, there is no dimension `stack`.
    """
    # an invocation that counts nothing is normal
    warnings.filterwarnings("ignore", message="No application metrics to publish")
    metrics = Metrics(namespace=NAMESPACE, service=service)
    if stack := stack_name():
        metrics.set_default_dimensions(stack=stack)
    return metrics


def count(metrics: Metrics, name: str, value: float) -> None:
    """Add to a counter."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def gauge(metrics: Metrics, name: str, value: float) -> None:
    """Publish a measured value, such as a share or a p-value."""
    metrics.add_metric(name=name, unit=MetricUnit.NoUnit, value=value)

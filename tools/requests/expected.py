"""What cannot be as on AWS where LocalStack answers, each with the reason.

An entry that the record does not bear out is an error: it hides nothing for longer than it is needed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.requests.record import Need

UNUSED = {
    "*Role *.TakeMessages sqs:ChangeMessageVisibility": (
        "Lambda hands a failed message back with it; LocalStack lets the time run out"
    ),
    "* look-for-last-answers.TellMissingFromForbidden *": "no file of a round is missing in the tests",
    "ScoreRole existing-images.ListImages *": "no image is missing in the tests of an existing bucket",
    "ReconcileRole ask-for-batches.*": "no test lets reconcile ask for a batch with a role",
    "RescoreRole rescore.RefreshScores dynamodb:UpdateItem": "LocalStack throttles no statement",
    "WorkerPolicy WorkerPolicy.ListImages *": "no image is missing when a job of the tests reads it",
    "WorkerPolicy WorkerPolicy.KeepEmbeddings *": "no labelled image has another backbone in these tests",
}
"""Rights of deployed policies that nothing needs here."""

SOMETIMES = {
    "WorkerPolicy WorkerPolicy.ReadImages resource *": (
        "a job reads an existing bucket only if a label of such an image came before it began"
    ),
    "WorkerPolicy WorkerPolicy.TakeJobs sqs:ChangeMessageVisibility": (
        "the worker extends the time of a message after 40 seconds: most jobs of the tests are shorter"
    ),
}
"""Rights that nothing needs on a fast machine."""

NOT_DEPLOYED = {
    "*Role private-network.ManageInterfaces *": "LocalStack has no private network that functions could join",
    "*Role trace.SendTraces *": "the traces are sent by Lambda's own daemon, which LocalStack has not",
    "* kms:*": "LocalStack asks for no right: tests/unit/deploy/test_key_rights.py computes them",
    "*Role start-training-on-*": "LocalStack starts no task: tests/unit/adapters has the requests",
    "TrainingRole *": "those of a worker without the queue: tests/unit/deploy/test_access.py compares them",
    "TrainingExecutionRole *": "ECS itself uses it to start a container",
    "PredictRole existing-images.*": "the tests of an existing bucket score, and do no more",
    "ReconcileRole existing-images.*": "as above",
    "LabelStudioUser existing-images.*": "as above",
    "TrainingInstanceRole *": "the agent of ECS on a machine of AWS Batch uses it",
    "*Role read-mlflow-password.ReadSecret *": "the local MLflow asks for no password",
    "WorkerPolicy *.ReadSecret *": "as above",
    "WorkerPolicy *.ReadToken *": "DagsHub cannot be started here",
}
"""Rights of the template's policies that no stack of the tests has."""

NEVER_ON_AWS = {
    "logs:CreateLogGroup": "LocalStack tries it before each log stream, though the group is there",
}
"""Actions that LocalStack needs in the place of AWS."""


def on_aws_never(need: Need) -> bool:
    """Return whether a request is LocalStack's own way of doing AWS's work."""
    return need.action in NEVER_ON_AWS


def unexpected(rights: Iterable[str], expected: Iterable[str]) -> list[str]:
    """Return the rights that no entry names."""
    patterns = list(expected)
    return sorted(right for right in rights if not any(fnmatchcase(right, pattern) for pattern in patterns))


def unnecessary(rights: Iterable[str], expected: Iterable[str]) -> list[str]:
    """Return the entries that name no right."""
    named = list(rights)
    return [entry for entry in expected if not any(fnmatchcase(right, entry) for right in named)]

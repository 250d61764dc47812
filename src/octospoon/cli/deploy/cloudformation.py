"""Deploy a CloudFormation stack by a change set, and report its progress, outputs and failures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.stacks import find_stack, outputs_of
from octospoon.domain.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackEventTypeDef, StackTypeDef

_CAPABILITIES: Any = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
# a stack that was never created completely cannot be updated: delete it first, its retained resources stay
_NEVER_CREATED = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"}
_NEW = "REVIEW_IN_PROGRESS"
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
_BETWEEN_REPORTS = 1.0
"""Seconds: each request for the events returns all of them, which takes LocalStack a while."""
_CONSEQUENCES = ("cancelled", "Resource creation", "The following resource")


class DeployFailed(PermanentError):
    """CloudFormation refused the stack; the message names the resources and their reasons."""


class Stack:
    """A CloudFormation stack.

    Args:
        client: of CloudFormation.
        name: of the stack.
        progress: receives a line of text for each step.
        poll: seconds between two requests for its state.
    """

    def __init__(
        self, client: CloudFormationClient, name: str, progress: Callable[[str], None], poll: float
    ) -> None:
        self._client = client
        self._name = name
        self._progress = progress
        self._poll = poll
        self._seen: set[str] = set()

    def deploy(self, template_url: str, parameters: Mapping[str, str], declared: Set[str]) -> dict[str, str]:
        """Create or update the stack; return its outputs.

        Args:
            template_url: where CloudFormation reads the template.
            parameters: to set; on an update, the others keep their values.
            declared: the names of all parameters of the template.

        Raises:
            DeployFailed: the message names the resources that failed, and the reasons.
        """
        stack = self._updatable()
        kept = {item["ParameterKey"] for item in stack.get("Parameters", [])} if stack else set()
        change_set = self._client.create_change_set(
            StackName=self._name,
            ChangeSetName=f"octospoon-{time.time_ns()}",
            ChangeSetType="UPDATE" if stack else "CREATE",
            TemplateURL=template_url,
            Parameters=_parameters(parameters, kept & declared),
            Capabilities=_CAPABILITIES,
        )["Id"]
        if self._has_changes(change_set):
            self._execute(change_set)
        else:
            self._progress("nothing to change")
        return self.outputs()

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""
        stack = self._find()
        return outputs_of(stack) if stack else {}

    def secrets(self) -> dict[str, str]:
        """Return the logical id of each secret that the stack made, by its ARN."""
        if self._find() is None:
            return {}
        pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self._name)
        return {
            resource["PhysicalResourceId"]: resource["LogicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::SecretsManager::Secret" and "PhysicalResourceId" in resource
        }

    def _find(self) -> StackTypeDef | None:
        return find_stack(self._client, self._name)

    def _updatable(self) -> StackTypeDef | None:
        """Return the stack if it can be updated, once the operation in progress has ended.

        A stack that failed while it was created cannot be updated, and is deleted.
        """
        stack = self._find()
        while stack and stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != _NEW:
            self._progress(f"waiting: {self._name} is {stack['StackStatus']}")
            time.sleep(self._poll)
            stack = self._find()
        if stack and stack["StackStatus"] in _NEVER_CREATED:
            self._progress(f"deleting {self._name}, because its creation failed")
            self._client.delete_stack(StackName=self._name)
            return self._updatable()
        if stack and stack["StackStatus"] in {_NEW, "DELETE_COMPLETE"}:
            return None
        return stack

    def _has_changes(self, change_set: str) -> bool:
        answer = self._client.describe_change_set(ChangeSetName=change_set)
        while answer["Status"] in {"CREATE_PENDING", "CREATE_IN_PROGRESS"}:
            time.sleep(self._poll)
            answer = self._client.describe_change_set(ChangeSetName=change_set)
        if answer["Status"] == "CREATE_COMPLETE":
            return True
        reason = answer.get("StatusReason", "no reason given")
        self._client.delete_change_set(ChangeSetName=change_set)
        if any(text in reason for text in _NO_CHANGES):
            return False
        raise DeployFailed(f"CloudFormation refused the change set of {self._name}: {reason}")

    def _execute(self, change_set: str) -> None:
        for event in self._new_events():  # skip the events of earlier deployments
            self._seen.add(event["EventId"])
        self._client.execute_change_set(ChangeSetName=change_set)
        failed: list[StackEventTypeDef] = []
        status, reported = "_IN_PROGRESS", time.monotonic()
        while status.endswith("_IN_PROGRESS"):
            time.sleep(self._poll)
            stack = self._find()
            status = stack["StackStatus"] if stack else "gone"
            if not status.endswith("_IN_PROGRESS") or time.monotonic() - reported >= _BETWEEN_REPORTS:
                failed += self._report_events()
                reported = time.monotonic()
        if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            raise DeployFailed(f"{self._name} is {status}: {reasons(failed)}")

    def _report_events(self) -> list[StackEventTypeDef]:
        """Report the new events; return the failures among them."""
        failed = []
        for event in self._new_events():
            self._seen.add(event["EventId"])
            status = event.get("ResourceStatus", "")
            if not status.endswith("_IN_PROGRESS"):
                self._progress(f"{status} {event.get('LogicalResourceId', '')}")
            if status.endswith("_FAILED") and event.get("ResourceType") != "AWS::CloudFormation::Stack":
                failed.append(event)
        return failed

    def _new_events(self) -> list[StackEventTypeDef]:
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=self._name)
        events = [event for page in pages for event in page["StackEvents"]]
        return [event for event in reversed(events) if event["EventId"] not in self._seen]


def _parameters(given: Mapping[str, str], kept: set[str]) -> list[ParameterTypeDef]:
    new: list[ParameterTypeDef] = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in given.items()
    ]
    return new + [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept - given.keys())]


def reasons(failed: list[StackEventTypeDef]) -> str:
    """Return the resources that failed, with the reasons; without those that failed because others did."""
    descriptions = [
        f"{event.get('LogicalResourceId', '?')} ({event.get('ResourceType', '?')}): "
        f"{event.get('ResourceStatusReason', 'no reason given')}"
        for event in failed
    ]
    causes = [text for text in descriptions if not any(mark in text for mark in _CONSEQUENCES)]
    return "; ".join(causes or descriptions) or "CloudFormation gave no reason"

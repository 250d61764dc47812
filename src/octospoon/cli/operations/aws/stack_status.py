"""`octospoon aws status`: what is deployed, and how it differs from the parameter file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.cli.operations.aws.parameter_file import file_name, read

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

_SHOWN = ("ImagesBucket", "WebhookUrl", "PredictUrl", "LabelStudioUser", "LabelStudioRole", "WorkerPolicyArn")


@dataclass(frozen=True, slots=True)
class StackStatus:
    """What is deployed.

    Attributes:
        stack: name of the stack.
        status: CloudFormation's word for its state.
        region: AWS region.
        outputs: those that people need.
        changes: parameters of the file that are not deployed yet: the deployed value and that of the file.
    """

    stack: str
    status: str
    region: str
    outputs: dict[str, str]
    changes: dict[str, tuple[str, str]]

    def rows(self) -> list[tuple[str, str]]:
        """Return pairs of text for people."""
        rows = [("stack", self.stack), ("state", self.status), ("region", self.region), *self.outputs.items()]
        for name, (deployed, wanted) in self.changes.items():
            rows.append((f"not deployed yet: {name}", f"{wanted or 'empty'} (now {deployed or 'empty'})"))
        return rows


def read_stack(deployment: Deployment, name: str) -> StackStatus:
    """Read the state of a stack, and compare it with its parameter file in this folder, if there is one.

    Args:
        deployment: the stack.
        name: its name.
    """
    client = deployment.client("cloudformation")
    with translated(f"reading the stack {name}"):
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    deployed = {item["ParameterKey"]: item.get("ParameterValue", "") for item in stack.get("Parameters", [])}
    path = file_name(name)
    wanted = read(path).parameters if path.is_file() else {}
    changes = {
        key: (deployed.get(key, ""), value) for key, value in wanted.items() if deployed.get(key, "") != value
    }
    outputs = {key: deployment.outputs[key] for key in _SHOWN if key in deployment.outputs}
    return StackStatus(name, str(stack["StackStatus"]), str(client.meta.region_name), outputs, changes)

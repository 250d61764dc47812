"""The outputs of a deployed stack, and the names of its buckets and tables among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.errors import NotConfigured
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Mapping


class Outputs(dict[str, str]):
    """Outputs of a CloudFormation stack. A missing output raises an error that explains why."""

    def __missing__(self, name: str) -> str:
        """Raise NotConfigured: the stack belongs to another program or another version."""
        raise NotConfigured(
            f"the stack has no output {name}: it is not a stack of octospoon, or of another version"
        )


@dataclass(frozen=True)
class OutputNames:
    """The names of the stack's buckets and tables; each output is read when its name is asked for.

    Attributes:
        outputs: of the CloudFormation stack.
    """

    outputs: Mapping[str, str]

    @property
    def images_bucket(self) -> str:
        """The bucket of the images."""
        return self.outputs["ImagesBucket"]

    @property
    def artifacts_bucket(self) -> str:
        """The bucket of models, rounds and snapshots."""
        return self.outputs["ArtifactsBucket"]

    @property
    def pool_table(self) -> str:
        """The table of the images."""
        return self.outputs["PoolTable"]

    @property
    def annotations_table(self) -> str:
        """The table of the annotations."""
        return self.outputs["AnnotationsTable"]

    @property
    def control_table(self) -> str:
        """The table of everything that exists once."""
        return self.outputs["ControlTable"]

    @property
    def task_type(self) -> str:
        """The name of the kind of label; stacks of earlier releases have no output for it."""
        return self.outputs.get("TaskType", TaskTypeName.CLASSIFICATION)

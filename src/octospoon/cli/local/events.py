"""Read the events in events/ and fill in the names of the running stack.

The files are AWS's events. ``${Name}`` stands for an output of the template, or for a name of `Filling._own`.
A ``body`` that is an object becomes JSON text, as SQS and API Gateway send it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from octospoon.cli.datasets import digits
from octospoon.cli.operations.label_studio_access import webhook_secret
from octospoon.cli.operations.predict import predict_secret
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from octospoon.cli.deployment import Deployment

_NAME = re.compile(r"\$\{(\w+)\}")
GENERATED = "events/digit.png"
"""Key of the image that is uploaded if the bucket is empty."""


def read(path: Path) -> dict[str, Any]:
    """Read an event file as it stands.

    Raises:
        BadRequest: the file does not exist, or does not contain a JSON object.
    """
    try:
        event = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadRequest(f"there is no event file {path}: name a file with EVENT=file.json") from error
    except ValueError as error:
        raise BadRequest(f"{path} is not valid JSON: {error}") from error
    if not isinstance(event, dict):
        raise BadRequest(f"{path} does not contain a JSON object")
    return event


@dataclass(frozen=True)
class Filling:
    """Fills in the events for a deployment. It reads only the values that an event names."""

    deployment: Deployment
    label_studio_project: int

    def fill(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the event as AWS would send it.

        Raises:
            BadRequest: the event has an unknown name.
        """
        return {name: self._value(name, value) for name, value in event.items()}

    def _value(self, name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._value("", item) for item in value]
        if isinstance(value, dict):
            filled = self.fill(value)
            return json.dumps(filled) if name == "body" else filled
        return value

    def _text(self, text: str) -> Any:  # noqa: ANN401 - text that is only a name becomes its value, a number or text
        if alone := _NAME.fullmatch(text):
            return self._named(alone[1])
        return _NAME.sub(lambda match: str(self._named(match[1])), text)

    def _named(self, name: str) -> str | int:
        if name in self.deployment.outputs:
            return self.deployment.outputs[name]
        if name not in self._own:
            known = ", ".join(sorted([*self._own, *self.deployment.outputs]))
            raise BadRequest(f"the event has the unknown name ${{{name}}}: known names are {known}")
        return self._own[name]()

    @cached_property
    def _own(self) -> dict[str, Callable[[], str | int]]:
        return {
            "LabelStudioProject": lambda: self.label_studio_project,
            "PredictSecret": lambda: predict_secret(self.deployment),
            "WebhookSecret": lambda: webhook_secret(self.deployment),
            "PictureKey": lambda: str(self._image["Key"]),
            "PictureQuoted": lambda: quote_plus(self._image["Key"]),
            "PictureSize": lambda: int(self._image["Size"]),
            "PictureETag": lambda: str(self._image["ETag"]).strip('"'),
        }

    @cached_property
    def _image(self) -> dict[str, Any]:
        """The first object of the images bucket. If the bucket is empty, an image is uploaded first."""
        s3, bucket = self.deployment.client("s3"), self.deployment.outputs["ImagesBucket"]
        if not s3.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents"):
            s3.put_object(Bucket=bucket, Key=GENERATED, Body=digits.png_bytes(0))
        image: dict[str, Any] = s3.list_objects_v2(Bucket=bucket, MaxKeys=1)["Contents"][0]
        return image

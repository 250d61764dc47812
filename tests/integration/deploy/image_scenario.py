"""Run with LocalStack's own Python, for the moto that it brings: `python image_scenario.py SITE_PACKAGES`.

No Docker engine runs where these tests do. So an image's manifest is put into moto's ECR as an engine would.
The rest is what `octospoon aws image` does on AWS.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
# after moto's own packages
sys.path += [str(ROOT / "src"), sys.argv[1]]
os.chdir(ROOT)
REGION = "eu-west-1"
os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": REGION}
for variable in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "DOCKER"):
    os.environ.pop(variable, None)

import boto3  # noqa: E402
from moto import mock_aws  # noqa: E402

from octospoon.cli.operations.aws.image import build  # noqa: E402
from octospoon.cli.operations.aws.image.builder import Builder  # noqa: E402
from octospoon.cli.operations.aws.parameter_file import Choices  # noqa: E402
from octospoon.domain.errors import NotConfigured  # noqa: E402

INDEX = "application/vnd.oci.image.index.v1+json"


class Engine:
    """A Docker engine that pushes an image for one processor."""

    processor = "arm64"
    program = "docker"

    def __init__(self, *_: Any) -> None:
        self.built = ""

    def answers(self) -> bool:
        return True

    def build(self, source: Any, name: str) -> None:
        assert source.platform == "linux/arm64"
        self.built = name

    def push(self, name: str, user: str, password: str) -> None:
        assert (name, user) == (self.built, "AWS")
        assert password
        address, _, tag = name.rpartition(":")
        manifest = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{"digest": f"sha256:{'c' * 64}", "platform": {"architecture": self.processor}}],
        }
        content = json.dumps(manifest)
        boto3.client("ecr", region_name=REGION).put_image(
            repositoryName=address.partition("/")[2],
            imageManifest=content,
            imageManifestMediaType=INDEX,
            imageTag=tag,
            # without it, moto draws one of 101 digests, and two images may share it
            imageDigest=f"sha256:{hashlib.sha256(content.encode()).hexdigest()}",
        )


@mock_aws
def main() -> None:
    vars(build)["Docker"] = Engine
    messages: list[str] = []
    where = build.ImageStack("Prod", boto3.Session(region_name=REGION), None, messages.append)
    parameters = {"Launcher": "ecs", "TrainingArchitecture": "ARM64"}
    choices = Choices("Prod", REGION, parameters)

    first = build.training_image(choices, where, Builder.DOCKER)
    assert first.startswith(f"123456789012.dkr.ecr.{REGION}.amazonaws.com/octospoon/prod@sha256:"), first
    ecr = boto3.client("ecr", region_name=REGION)
    (repository,) = ecr.describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"

    messages.clear()
    pinned = Choices("Prod", REGION, parameters | {"TrainingImageUri": first})
    assert build.training_image(pinned, where, Builder.AUTO) == first
    assert messages == [f"the training image is {first}"], messages

    assert where.repository.size()[0] == 1

    Engine.processor = "amd64"
    fine_tuned = Choices("Prod", REGION, parameters | {"Trainer": "finetune"})
    refused = ""
    try:
        build.training_image(fine_tuned, where, Builder.DOCKER)
    except NotConfigured as error:
        refused = str(error)
    assert "runs on X86_64, but TrainingArchitecture is ARM64" in refused, refused


main()

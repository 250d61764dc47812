"""A second stack on the shared servers reads two prefixes of an existing bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e.helpers import digit_pictures, scored

from octospoon.cli.datasets import digits
from octospoon.cli.deploy.deployer import deploy
from octospoon.cli.deployment import Deployment
from octospoon.cli.local.assemble import BUILD_DIR, TEMPLATE
from octospoon.cli.operations.backfill import run_backfill
from octospoon.cli.operations.first_model import begin_with
from octospoon.domain.pool.backfill import Pace
from octospoon.training.model.model_file import starter_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack
BUCKET, STACK = "somebodys-photos", "octospoon-existing"
OLDER = digit_pictures("photos/2025/", range(20)) | digit_pictures("trips/", range(20, 25))
OUTSIDE = digit_pictures("private/", range(30, 33))


@pytest.fixture(scope="module")
def s3(stack: LocalStack) -> Any:
    """A client of S3. The bucket contains images from before the second stack, and sends its events."""
    client = stack.deployment.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    for key, body in (OLDER | OUTSIDE).items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)
    return client


@pytest.fixture(scope="module")
def second(stack: LocalStack, s3: Any) -> Iterator[Deployment]:
    """A separate stack over that bucket."""
    endpoint = stack.project.endpoint_url
    outputs = deploy(
        template=TEMPLATE,
        build_dir=BUILD_DIR,
        endpoint_url=endpoint,
        stack_name=STACK,
        parameters={
            "Classes": ",".join(digits.CLASSES),
            "ImagesBucketName": BUCKET,
            "ImagesPrefixes": "photos/,trips/",
            "LabelStudioUrl": stack.project.label_studio_url,
            "LabelStudioProject": "999999",
            "LabelStudioTokenSecretArn": stack.project.outputs["LabelStudioTokenSecretArn"],
            "MlflowTrackingUri": stack.project.mlflow_url,
            "Launcher": "queue",
            "RankSchedule": "rate(1 day)",
            "RankTriggers": "schedule",
            "ReconcileSchedule": "rate(1 day)",
        },
        progress=print,
        by_path=True,
    )
    deployment = Deployment(outputs, endpoint)
    begin_with(deployment, starter_model)
    yield deployment
    stack.deployment.client("cloudformation").delete_stack(StackName=STACK)


def versions(s3: Any) -> list[tuple[str, str, str]]:
    """Return key, version and ETag of all versions in the bucket."""
    listed = s3.list_object_versions(Bucket=BUCKET)
    assert "DeleteMarkers" not in listed
    return sorted((version["Key"], version["VersionId"], version["ETag"]) for version in listed["Versions"])


def known(deployment: Deployment, keys: list[str]) -> set[str]:
    return set(deployment.pool.rows(keys))


def test_stack_scores_new_and_older_images_below_its_prefixes_only(
    stack: LocalStack, second: Deployment, s3: Any
) -> None:
    new = digit_pictures("photos/2026/", range(40, 45))
    for key, body in new.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    before = versions(s3)

    scored(second, list(new))

    assert known(second, [*OLDER, *OUTSIDE]) == set()  # older than the stack: nobody has asked yet

    run = run_backfill(second)
    progress = run(run.scope("", 0.0), Pace(100))

    assert (progress.finished, progress.queued) == (True, len(OLDER))
    scored(second, list(OLDER))
    s3.put_object(Bucket=BUCKET, Key="private/new.png", Body=digits.png_bytes(46))
    s3.put_object(Bucket=BUCKET, Key="trips/last.png", Body=digits.png_bytes(47))
    scored(second, ["trips/last.png"])  # the event before it is through, too
    assert known(second, [*OUTSIDE, "private/new.png"]) == set()
    assert [v for v in versions(s3) if v[0] not in {"private/new.png", "trips/last.png"}] == before
    assert known(stack.deployment, [*OLDER, *new]) == set()  # the first stack reads another bucket


def test_repeated_backfill_queues_nothing(second: Deployment) -> None:
    scored(second, list(OLDER))
    run = run_backfill(second)

    assert run(run.scope("", 0.0, restart=True), Pace(100)).queued == 0

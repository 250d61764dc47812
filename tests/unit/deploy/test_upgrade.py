"""Today's template over a stack of an earlier release: nothing that holds data is replaced or removed.

An update of LocalStack changes no table, bucket or queue, so tests/e2e/test_upgrade.py cannot see this.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.deploy.intrinsics import RESOURCES, ROOT, TEMPLATE, resolved

from octospoon.cli.deploy import sam_template
from octospoon.cli.deploy.deployer import kept_names
from octospoon.cli.local import assemble
from octospoon.cli.local.saved_settings import UpSettings

PREVIOUS = sam_template.read(Path(__file__).with_name("previous.yaml"))
PAGE = (ROOT / "docs/how-to/upgrade.md").read_text()
# CloudFormation replaces a resource if one of these changes: "Update requires: Replacement" in its reference.
CREATE_ONLY = {
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::DynamoDB::Table": ("TableName", "KeySchema", "ImportSourceSpecification"),
    "AWS::SQS::Queue": ("QueueName", "FifoQueue"),
    "AWS::SecretsManager::Secret": ("Name",),
    "AWS::Logs::LogGroup": ("LogGroupName", "LogGroupClass"),
    # the addresses that Label Studio and programs know contain the stage
    "AWS::Serverless::Api": ("StageName",),
}
SETS = [{}, {"KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1", "LogRetentionDays": "7"}]
# their values are given again, by the ARN of a secret that is made before
REPLACED = {
    "LabelStudioTokenSecret": "LabelStudioTokenSecretArn",
    "MlflowPasswordSecret": "MlflowPasswordSecretArn",
    "DagshubTokenSecret": "DagshubTokenSecretArn",
}
BUCKET = "octospoon-artifacts-0e2f5a5d4c4b"


def of_before(kind=""):
    found = PREVIOUS["Resources"].items()
    return [name for name, each in found if name not in REPLACED and (not kind or each["Type"] == kind)]


@pytest.mark.parametrize("given", SETS, ids=["without-key", "with-key"])
@pytest.mark.parametrize("name", of_before())
def test_what_holds_data_is_updated_in_place(name, given):
    before, after = PREVIOUS["Resources"][name], RESOURCES[name]
    assert after["Type"] == before["Type"]
    for launcher in ("queue", "ecs"):
        exists = [
            "Condition" not in each
            or resolved({"Condition": each["Condition"]}, given | {"Launcher": launcher})
            for each in (before, after)
        ]
        assert exists[0] == exists[1], launcher
    kept = given | kept_names("octospoon", {"ArtifactsBucket": BUCKET})
    for property_ in CREATE_ONLY[before["Type"]]:
        old, new = before["Properties"].get(property_), after["Properties"].get(property_)
        assert resolved(new, kept) == resolved(old, given), property_


@pytest.mark.parametrize("name", of_before("AWS::DynamoDB::Table"))
def test_a_table_keeps_its_indexes_and_gets_at_most_one(name):
    """DynamoDB adds or removes one index in an update, and changes none."""
    indexes = "GlobalSecondaryIndexes"
    before = PREVIOUS["Resources"][name]["Properties"].get(indexes, [])
    after = RESOURCES[name]["Properties"].get(indexes, [])
    assert [each for each in before if each not in after] == []
    assert len(after) - len(before) <= 1


@pytest.mark.parametrize("kind", ["AWS::S3::Bucket", "AWS::DynamoDB::Table"])
def test_whatever_is_replaced_or_removed_stays(kind):
    for name in of_before(kind):
        assert RESOURCES[name]["DeletionPolicy"] in ("Retain", "RetainExceptOnCreate")
        assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def test_without_the_parameter_the_buckets_would_be_new_ones():
    assert kept_names("octospoon", {"ArtifactsBucket": BUCKET}) == {"BucketNames": "name"}
    for name in of_before("AWS::S3::Bucket"):
        old, new = (each[name]["Properties"]["BucketName"] for each in (PREVIOUS["Resources"], RESOURCES))
        assert resolved(new, {}) != resolved(old, {})


@pytest.mark.parametrize(("bucket", "given"), [(BUCKET, {"BucketNames": "name"}), ("", {})])
def test_a_local_stack_finds_its_objects_again(bucket, given, monkeypatch):
    """Its LocalStack forgets what was deployed, and keeps objects under the names of their buckets."""
    deployed = {}
    monkeypatch.setattr(assemble, "deploy", lambda **options: deployed.update(options) or {})
    monkeypatch.setattr(assemble, "_parameters", lambda *_: {})
    addresses = assemble.Addresses("http://a", "http://b", "http://c", "token")
    before = {"ArtifactsBucket": bucket} if bucket else None
    assemble.deploy_template(addresses, UpSettings(), 1, assemble.BY_PATH, print, before=before)
    assert deployed["parameters"] == given


def test_the_page_names_every_parameter_that_a_person_must_give():
    before, after = PREVIOUS["Parameters"], TEMPLATE["Parameters"]
    removed = before.keys() - after.keys()
    needed = {name for name in after.keys() - before.keys() if "Default" not in after[name]}
    assert needed <= set(REPLACED.values())
    for name in removed | set(REPLACED.values()) | {"BucketNames=name"}:
        assert f"`{name}`" in PAGE, name


def test_the_page_names_every_default_that_an_upgraded_stack_keeps():
    before, after = PREVIOUS["Parameters"], TEMPLATE["Parameters"]
    for name in before.keys() & after.keys():
        old, new = (str(parameters[name].get("Default", "")) for parameters in (before, after))
        if old != new:
            assert f"| `{name}` | {old} | {new} |" in PAGE, name


def test_no_output_is_gone():
    assert PREVIOUS["Outputs"].keys() - TEMPLATE["Outputs"].keys() == set()

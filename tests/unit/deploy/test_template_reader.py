"""The template as data: tags, code, and what a parameter may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from octospoon.cli.deploy import sam_template
from octospoon.domain.errors import NotConfigured

ROOT = Path(__file__).parents[3]

SMALL = """
Parameters:
  Size: {Type: Number, MinValue: 1, MaxValue: 9}
Conditions:
  Big: !Not [!Equals [!Ref Size, 1]]
  Both: !And [!Condition Big, !Equals [a, a]]
Resources:
  Work:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: makefile}
    Properties:
      CodeUri: functions/work
      Role: !GetAtt Role.Arn
      Environment: {Variables: {A: !Sub "${AWS::StackName}-x", B: !If [Big, !Ref Size, ""]}}
  Role:
    Type: AWS::IAM::Role
    Properties: {RoleName: !Join ["-", [!Select [0, !Split ["/", a/b]], x]]}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "template.yaml"
    path.write_text(SMALL)
    return sam_template.read(path)


def test_tags_become_their_long_forms(small):
    assert small["Conditions"] == {
        "Big": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Size"}, 1]}]},
        "Both": {"Fn::And": [{"Condition": "Big"}, {"Fn::Equals": ["a", "a"]}]},
    }
    properties = small["Resources"]["Work"]["Properties"]
    assert properties["Role"] == {"Fn::GetAtt": ["Role", "Arn"]}
    assert properties["Environment"]["Variables"] == {
        "A": {"Fn::Sub": "${AWS::StackName}-x"},
        "B": {"Fn::If": ["Big", {"Ref": "Size"}, ""]},
    }
    assert small["Resources"]["Role"]["Properties"]["RoleName"] == {
        "Fn::Join": ["-", [{"Fn::Select": [0, {"Fn::Split": ["/", "a/b"]}]}, "x"]]
    }


def test_only_the_source_folder_is_replaced_by_code(small):
    packaged = sam_template.with_code(small, {"Work": "s3://bucket/key.zip"})
    work = packaged["Resources"]["Work"]
    assert work["Properties"]["CodeUri"] == "s3://bucket/key.zip"
    assert "Metadata" not in work
    assert small["Resources"]["Work"]["Properties"]["CodeUri"] == "functions/work"
    assert packaged["Resources"]["Role"] == small["Resources"]["Role"]


def test_our_template_survives_json():
    template = sam_template.read(ROOT / "template.yaml")
    assert json.loads(json.dumps(template)) == template
    assert len(sam_template.functions(template)) == len(list((ROOT / "functions").iterdir()))


@pytest.mark.parametrize(
    ("declaration", "value", "message"),
    [
        ({"Type": "String", "AllowedValues": ["queue", "ecs"]}, "quue", "one of queue, ecs"),
        ({"Type": "Number", "MinValue": 1, "MaxValue": 9}, "10", "from 1 to 9"),
        ({"Type": "Number", "MinValue": 1}, "many", "a whole number, 1 or more"),
        (
            {"Type": "String", "AllowedPattern": "^a+$", "ConstraintDescription": "must be a's"},
            "b",
            "must be a's",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(declaration, value, message):
    with pytest.raises(NotConfigured, match=message):
        sam_template.check_value("Name", declaration, value)


ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:octospoon/token-AbC123"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "token",
        ARN[:-7],  # IAM would match no secret
        ARN + "\n",
        ARN.replace("token", "*"),
        ARN.replace(":secret:", ":secret:a,"),
        ARN.replace("secretsmanager", "ssm"),
    ],
)
@pytest.mark.parametrize(
    "name", ["LabelStudioTokenSecretArn", "DagshubTokenSecretArn", "MlflowPasswordSecretArn"]
)
def test_a_secret_is_named_by_its_whole_arn(name, value):
    declaration = sam_template.read(ROOT / "template.yaml")["Parameters"][name]
    sam_template.check_value(name, declaration, ARN)
    sam_template.check_value(name, declaration, ARN.replace("arn:aws:", "arn:aws-us-gov:"))
    if not value and name != "LabelStudioTokenSecretArn":
        sam_template.check_value(name, declaration, value)
        return
    with pytest.raises(NotConfigured, match="the whole ARN of a secret"):
        sam_template.check_value(name, declaration, value)


def test_a_refused_value_that_nobody_may_see_is_not_quoted():
    declaration = {"Type": "String", "NoEcho": True, "AllowedPattern": "^a$"}
    with pytest.raises(NotConfigured, match=r"^Name must match") as caught:
        sam_template.check_value("Name", declaration, "s3cret")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ({"Type": "Number", "AllowedValues": [1, 3, 5]}, "3"),
        ({"Type": "Number", "MinValue": 0, "MaxValue": 1}, "0.25"),
        ({"Type": "String"}, "two\nlines"),
    ],
)
def test_a_right_value_is_taken(declaration, value):
    sam_template.check_value("Name", declaration, value)

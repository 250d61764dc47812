"""The templates in the partitions of AWS: aws, aws-cn, aws-us-gov and the others."""

from __future__ import annotations

import re

import pytest
import yaml
from unit.deploy.intrinsics import ROOT

from octospoon.cli.deploy import sam_template

TEMPLATES = [ROOT / "template.yaml", *sorted((ROOT / "infra").glob("*/*.yaml"))]
ENDPOINTS = sam_template.read(ROOT / "infra/network/endpoints.yaml")
# the principals of these services end like the addresses of their partition
NAMED_BY_PARTITION = ("ec2", "logs", "codedeploy")


def without_comments(path):
    return re.sub(r"(^|\s)#.*", "", path.read_text())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_no_arn_or_address_belongs_to_one_partition(path):
    text = without_comments(path)
    assert re.findall(r"arn:aws[^:$]*:", text) == []
    # a principal of a service has this ending in every partition; an address has that of its partition
    addresses = re.findall(r"[^\s\"'\[\],{}]*\.amazonaws\.com[^\s\"'\[\],{}]*", text)
    assert [each for each in addresses if not re.fullmatch(r"[a-z0-9-]+\.amazonaws\.com", each)] == []
    assert {each.split(".")[0] for each in addresses} & set(NAMED_BY_PARTITION) == set()


def test_checkov_reads_every_template():
    given = yaml.safe_load((ROOT / ".checkov.yaml").read_text())["file"]
    assert {str(path.relative_to(ROOT)) for path in TEMPLATES} <= set(given)


@pytest.mark.parametrize("name", [name for name in ENDPOINTS["Resources"] if name.endswith("Endpoint")])
def test_an_endpoint_has_the_name_of_its_partition(name):
    # in China the services that came later have another beginning:
    # https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-Beijing.html
    value = ENDPOINTS["Resources"][name]["Properties"]["ServiceName"]["Fn::Sub"]
    service = (value if isinstance(value, str) else value[0]).partition("${AWS::Region}.")[2]
    beginnings = {
        "cn.com.amazonaws" if service in ("ecr.api", "ecr.dkr", "lambda", "sqs") else "com.amazonaws"
    }
    if isinstance(value, str):
        assert {value.partition(".${AWS::Region}")[0]} == beginnings
    else:
        table, _, key = value[1]["Beginning"]["Fn::FindInMap"]
        assert {ENDPOINTS["Mappings"][table]["aws-cn"][key]} == beginnings
        assert {ENDPOINTS["Mappings"][table][each][key] for each in ("aws", "aws-us-gov")} == {
            "com.amazonaws"
        }

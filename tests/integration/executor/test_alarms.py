"""An alarm whose threshold is a parameter, in LocalStack."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lanes import Lane

TEMPLATE = {
    "Parameters": {"Floor": {"Type": "Number"}},
    "Resources": {
        "Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "Namespace": "test",
                "MetricName": "accuracy",
                "Statistic": "Minimum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": {"Ref": "Floor"},
                "ComparisonOperator": "LessThanThreshold",
            },
        }
    },
}


def test_a_threshold_may_be_a_parameter(lane: Lane) -> None:
    cloudformation, name = lane.client("cloudformation"), f"alarm-{uuid.uuid4().hex[:8]}"
    floor = {"ParameterKey": "Floor", "ParameterValue": "0.85"}
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(TEMPLATE), Parameters=[floor])
    try:
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        alarms = lane.client("cloudwatch").describe_alarms(AlarmNamePrefix=name)["MetricAlarms"]
        assert [alarm["Threshold"] for alarm in alarms] == [0.85]
    finally:
        cloudformation.delete_stack(StackName=name)

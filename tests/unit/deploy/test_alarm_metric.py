"""Alarm and dashboard show a metric that `watch` publishes for labels of that kind."""

from __future__ import annotations

import numpy as np
import pytest
from unit.deploy.intrinsics import of, resolved

from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.multilabel import MULTILABEL

CLASSES = ("cat", "dog")
SCORES, PLACE = (0.9, 0.1), (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("task_type", "label", "prediction"),
    [
        (CLASSIFICATION, "cat", np.array(SCORES)),
        (MULTILABEL, '["cat"]', np.array(SCORES)),
        (DETECTION, '[["cat",0.0,0.0,1.0,1.0]]', np.array([[*PLACE, *SCORES]])),
    ],
)
def test_alarm_and_dashboard_show_the_metric_of_the_labels(task_type, label, prediction):
    evaluator, images = task_type.evaluator, 9
    rows = np.stack([prediction] * images)
    published = evaluator.evaluate(rows, evaluator.targets([label] * images, CLASSES)).metrics()
    given, metric = {"TaskType": task_type.name}, evaluator.metric_name
    assert f"{metric}_high" in published

    alarm = of("AWS::CloudWatch::Alarm")["AccuracyAlarm"]
    assert resolved(alarm["MetricName"], given) == f"{metric}_high"
    body, names = of("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    assert resolved(names["Metric"], given) == metric
    assert all(f'"${{Metric}}{end}", "service", "watch"' in body for end in ("", "_low", "_high"))

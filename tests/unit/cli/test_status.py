from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from fakes.models import FakeObservations, FakeReadingProgress, FakeRescoring
from fakes.pool import FakePool
from lanes import ROOT

from octospoon.cli.deploy import sam_template
from octospoon.cli.operations import reading_status, status
from octospoon.domain.labelling.answers import UncountedAnswer, UncountedAnswers
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import DriftExample, Observation
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.ports.models import ShardReading


def test_drift_is_told_with_what_can_still_be_chosen():
    pool, observations = FakePool(), FakeObservations()
    for i in range(3):
        prediction = Prediction(4, "b", np.zeros(2, np.float32), np.array([0.5, 0.5], np.float32))
        pool.put_score(ImageRef(f"{i}.png", "e", "1", 1), prediction)
    deployment = SimpleNamespace(pool=pool, pool_report=pool, observations=observations)
    assert (
        status.describe_drift(status.drift(deployment, 4))
        == "no day's uploads were tested against this model yet"
    )
    finding = DriftResult(Level.CONFIRMED, 500, 0.0, 0.0, 1.0, 0.005)
    examples = tuple(DriftExample(f"{i}.png", "e", 0.5) for i in range(3))
    observations.save(Observation(4, 1.0, None, "2026-01-31", finding, examples))
    pool.claim(Pick("1.png", "e", False, "drift", 0.5, 0, None), 1, 99.0)

    assert status.describe_drift(status.drift(deployment, 4)) == (
        "confirmed on 500 uploads until 2026-01-31; 2 of the 3 images that differ most can still be chosen"
    )
    assert "no day's uploads" in status.describe_drift(status.drift(deployment, 5))


@pytest.mark.parametrize(
    ("outputs", "generation", "threshold"),
    [
        ({"FirstBatchSize": "0"}, 0, 12),
        ({"FirstBatchSize": "20"}, 0, 20),
        ({"FirstBatchSize": "0"}, 1, 50),
        ({}, 0, 50),
    ],
    ids=["by the classes", "as given", "after the first model", "a stack of an earlier release"],
)
def test_the_threshold_is_the_one_that_counts_now(outputs, generation, threshold):
    rescoring = FakeRescoring()
    if generation:
        rescoring.begin(generation, 1)
    deployment = SimpleNamespace(
        outputs={"TrainingThreshold": "50"} | outputs,
        rescoring=rescoring,
        classes=("cat", "dog", "owl"),
        task_type=CLASSIFICATION,
    )

    assert status.training_threshold(deployment) == threshold


def test_reading_of_images_is_told_with_its_cost():
    reading = FakeReadingProgress()
    deployment = SimpleNamespace(reading=reading)
    assert reading_status.read(deployment, 5000) is None

    run = reading.begin(3, 4, 20_000)
    for shard in range(SHARDS):
        reading.done(ShardReading(run, shard))
    assert reading_status.read(deployment, 5000) is None, "no image had to be read"

    run = reading.begin(4, 5, 2000)
    reading.takes(ShardReading(run, 3, 100), 4, 10.0, 0.0)
    reading.done(ShardReading(run, 4, 125, 2))
    told = reading_status.read(deployment, 5000)
    assert str(told) == (
        "the newest 2,000 images by version 5: 225 done, 1 of 16 shards; at most about 0.02 dollars, at 60 "
        "ms an image; 2 could not be scored"
    )

    reading.begin(4, 5, -1)
    every = reading_status.read(deployment, 1_000_000)
    assert every.images is None
    assert 5 < every.dollars < 10
    assert str(every).startswith("all images by version 5: 0 done, 0 of 16 shards; at most about ")


def test_default_bound_costs_well_under_a_dollar():
    template = sam_template.read(ROOT / "template.yaml")
    reading = FakeReadingProgress()
    reading.begin(1, 1, template["Parameters"]["RereadImages"]["Default"])

    assert reading_status.read(SimpleNamespace(reading=reading), 10**8).dollars < 0.25


def test_answers_that_do_not_count_are_told_with_examples():
    example = UncountedAnswer("a.png", 7, 3, "no-class")
    uncounted = UncountedAnswers({"no-class": 2, "unknown-class": 1}, (example,))
    deployment = SimpleNamespace(labels=SimpleNamespace(uncounted=lambda _: uncounted))

    assert status.describe_uncounted(status.uncounted(deployment)) == (
        "2 answered without a class, 1 with a class that the stack does not have; "
        "such as a.png (task 7, no-class)"
    )

"""Complete training jobs with bad models that the gate must refuse, and one with a better model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from unit.training.stack import JOB, World, starter

from octospoon.cli.datasets import digits
from octospoon.training.head.trainer import train_head
from octospoon.training.job.run import Outcome, run
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from octospoon.training.data.dataset import Dataset

SECOND = "train-000002"
AUDIT, FIRST, MORE = 100, 160, 120


@pytest.fixture(scope="module", name="served")
def serve():
    """A first model in service, trained on 160 labels, and 120 newer labels. No test changes it."""
    made = World()
    for index in range(AUDIT + FIRST):
        made.label(index, truth(index), audit=index < AUDIT)
    made.serve(starter())
    assert run(JOB, made.ports) is Outcome.PROMOTED
    for index in range(AUDIT + FIRST, AUDIT + FIRST + MORE):
        made.label(index, truth(index))
    return made


def truth(index: int) -> str:
    return digits.CLASSES[digits.labels()[index]]


def retrain(served: World, spoil) -> tuple[Outcome, World]:
    """Run the second job with a damaged dataset, spec or result."""
    made = served.copied()
    made.launch(SECOND)
    made.control.now_state = replace(made.control.now_state, reason="drift confirmed")
    outcome = run(SECOND, replace(made.ports, trainer=spoil))
    return outcome, made


def shuffled(backbone, dataset: Dataset, spec):
    mixed = np.random.default_rng(0).permutation(dataset.labels)
    return train_head(backbone, replace(dataset, labels=mixed), spec)


def missing_class(backbone, dataset: Dataset, spec):
    others = np.flatnonzero(dataset.labels != 3)
    images = tuple(dataset.images[i] for i in others)
    part = replace(
        dataset,
        images=images,
        embeddings=dataset.embeddings[others],
        labels=dataset.labels[others],
        dealt=dataset.fold_numbers()[others],
    )
    trained = train_head(backbone, part, spec)
    return replace(trained, held_out=np.full((len(dataset), 10), np.nan))


def swapped_and_told(backbone, dataset: Dataset, spec):
    return train_head(backbone, dataset, replace(spec, classes=(*spec.classes[::-1],)))


def swapped_in_silence(backbone, dataset: Dataset, spec):
    labels = dataset.labels.copy()
    labels[dataset.labels == 3], labels[dataset.labels == 8] = 8, 3
    return train_head(backbone, replace(dataset, labels=labels), spec)


def points_worse(backbone, dataset: Dataset, spec):
    """Predict eight for three of four ones: about five points less accuracy."""
    labels = dataset.labels.copy()
    labels[labels == 1] = np.where(np.arange(np.sum(labels == 1)) % 4, 8, 1)
    return train_head(backbone, replace(dataset, labels=labels), spec)


def no_parity(backbone, dataset: Dataset, spec):
    good = train_head(backbone, dataset, spec)
    other = model_file.head_file(np.zeros((spec.dim, 10), np.float32), np.arange(10, dtype=np.float32), spec)
    return replace(good, head=other)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (shuffled, "worse than the model in service"),
        (missing_class, "worse than the model in service"),
        (swapped_and_told, "the classes changed"),
        (swapped_in_silence, "worse than the model in service"),
        (points_worse, "worse than the model in service"),
        (no_parity, "its parts differ"),
    ],
)
def test_bad_model_is_refused_and_its_reason_recorded(served, spoil, reason):
    outcome, made = retrain(served, spoil)

    assert outcome is Outcome.REFUSED
    assert made.champions.current == served.champions.current
    assert reason in made.registry.tags[2]["octospoon.reasons"]
    decision = made.history.decision(SECOND)
    assert not decision.promoted
    assert "; ".join(decision.reasons) == made.registry.tags[2]["octospoon.reasons"]
    assert made.registry.aliases == {"champion": 1, "challenger": 2}


def test_better_model_is_promoted_and_its_alias_recorded_as_ours(served):
    outcome, made = retrain(served, train_head)

    assert outcome is Outcome.PROMOTED
    assert made.champions.current.version == 2 == made.registry.aliases["champion"] == made.history.alias()
    decision = made.history.decision(SECOND)
    assert decision.promoted
    assert made.registry.run_tags[SECOND] == {"octospoon.reason": "drift confirmed"}
    assert decision.measures["accuracy"] == made.registry.metrics["accuracy"]
    first = made.champions.version(1)
    assert made.champions.version(2).after(served.champions.current) == made.champions.current
    assert first.after(served.champions.current.previous) == served.champions.current


def test_a_job_that_died_before_it_could_promote_decides_again(served):
    made = served.copied()
    made.launch(SECOND)
    made.champions.promote = lambda pointer, etag: False
    with pytest.raises(Exception, match="went into service"):
        run(SECOND, made.ports)
    assert made.history.decision(SECOND).promoted
    del made.champions.promote
    made.launch(SECOND)
    assert run(SECOND, made.ports) is Outcome.PROMOTED


def test_what_the_uploads_looked_like_is_kept_with_the_model(served):
    reference = served.references.get(served.champions.current.sha256)
    assert reference.components.shape == (AUDIT + FIRST, 16)
    assert reference.statistics.shape == (AUDIT + FIRST, 10)
    assert np.isfinite(reference.statistics).all()

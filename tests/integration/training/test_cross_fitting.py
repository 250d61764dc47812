"""No label judges a head that was trained on it: complete jobs on labels that can only be memorised."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.pool import FakeEntries
from unit.training.stack import JOB, World, embeddings, starter

from octospoon.adapters.onnx.session import OnnxHead
from octospoon.cli.datasets import digits
from octospoon.domain.errors import BadModel, ServiceUnavailable
from octospoon.domain.evaluation.training_record import EVERY_HEAD
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.training.head import fit
from octospoon.training.head.trainer import KEPT_OUT, train_head
from octospoon.training.job.run import Outcome, run
from octospoon.usecases.live_evaluation import EvaluateLive
from octospoon.usecases.promote_version import PromoteVersion

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ChampionPointer

SECOND, THIRD = "train-000002", "train-000003"
AUDIT = 100
CHANCE = 0.25
"""More than ten classes at random give on 100 images or more, and far less than a memorised label."""
RANDOM = np.random.default_rng(5).integers(0, 10, 400)


def label_at_random(made: World, first: int, last: int, *, every: int = 2) -> None:
    """Label digits at random; every so many of them is an audit image."""
    for index in range(first, last):
        made.label(index, digits.CLASSES[RANDOM[index]], audit=index % every == 0)


def memorised(made: World) -> float:
    """Return how often the served head is right on the audit labels."""
    pointer = serving(made)
    audit = [image for image in made.labels.labelled() if image.audit]
    rows = np.stack([embeddings(400)[int(image.key[:4])] for image in audit])
    names = [made.ports.class_history().current(name) or name for name in pointer.classes]
    answers = served_head(made).run(rows).argmax(axis=1)
    return float(np.mean([names[i] == image.label for i, image in zip(answers, audit, strict=True)]))


def serving(made: World) -> ChampionPointer:
    assert made.champions.current is not None
    return made.champions.current


def served_head(made: World) -> OnnxHead:
    with tempfile.TemporaryDirectory() as folder:
        return OnnxHead(made.champions.fetch_head(serving(made), Path(folder)))


def report(made: World):
    evaluate = EvaluateLive(
        made.pool, made.labels, made.training_records, made.ports.task_type, made.ports.class_history
    )
    return evaluate(serving(made), served_head(made))


def measured(made: World) -> tuple[float, float]:
    """Return the accuracy of the newest challenger and of the model in service, on audit labels."""
    return made.registry.metrics["audit_accuracy"], report(made).evaluation.audit_accuracy.value


@pytest.fixture(scope="module", autouse=True)
def weak_regularisation():
    """Let heads memorise random labels: by itself a head regularises what it cannot predict."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fit, "STRENGTHS", np.array([1e-3]))
        yield


@pytest.fixture(scope="module", name="first")
def first_model() -> World:
    made = World()
    label_at_random(made, 0, 2 * AUDIT)
    made.serve(starter())
    assert run(JOB, made.ports) is Outcome.PROMOTED, made.control.state().reason
    return made


def test_served_head_learns_every_label_and_judges_none(first):
    assert first.registry.metrics["training_labels"] == 2 * AUDIT
    assert memorised(first) > 0.8
    assert max(measured(first)) < CHANCE
    assert report(first).naive.value > 0.8
    assert report(first).fold_heads == AUDIT
    params = first.registry.params
    assert params["audit_labels"] == "trained on, judged by 5 fold heads"


def test_drift_reference_holds_no_memorised_probability(first):
    reference = first.references.get(serving(first).sha256)
    order = [*range(0, 2 * AUDIT, 2), *range(1, 2 * AUDIT, 2)]
    assert len(reference.statistics) == len(order), "every label, and no other image"
    assert np.mean(reference.statistics.argmax(axis=1) == RANDOM[order]) < CHANCE


def test_old_labels_stay_unseen_by_the_next_champion(first):
    made = first.copied()
    label_at_random(made, 2 * AUDIT, 3 * AUDIT)
    made.launch(SECOND)
    run(SECOND, made.ports)
    assert made.registry.metrics["audit_labels"] == 1.5 * AUDIT
    assert made.registry.metrics["audit_accuracy"] < CHANCE
    assert made.registry.metrics["champion_audit_accuracy"] < CHANCE
    assert max(measured(made)) < CHANCE
    before = made.training_records.get(made.champions.version(1))
    after = made.training_records.get(made.champions.version(2))
    audit = before.folds >= 0
    assert (after.folds_of(before.images)[audit] == before.folds[audit]).all()


def test_labels_changed_after_training_do_not_move_an_image(first):
    made = first.copied()
    for index in range(0, 2 * AUDIT, 4):
        made.resolve(f"{index:04d}.png", Consensus(digits.CLASSES[(RANDOM[index] + 1) % 10], 1.0, 1))
    assert report(made).fold_heads == AUDIT
    assert report(made).evaluation.audit_accuracy.value < CHANCE
    made.launch(SECOND)
    run(SECOND, made.ports)
    assert made.registry.metrics["champion_audit_accuracy"] < CHANCE
    assert max(measured(made)) < CHANCE


def test_rolled_back_version_is_judged_by_its_own_heads(first):
    made = first.copied()
    label_at_random(made, 2 * AUDIT, 3 * AUDIT)
    made.launch(SECOND)
    newer = replace(made.ports, rules=replace(made.ports.rules, margin=1, recall_margin=1, log_loss_margin=9))
    assert run(SECOND, newer) is Outcome.PROMOTED, made.control.state().reason
    assert serving(made).version == 2
    PromoteVersion(made.champions, FakeEntries(made.pool))(1)
    assert serving(made).version == 1
    assert report(made).fold_heads == AUDIT, "the served head judges images that are newer than version 1"
    assert report(made).evaluation.audit_accuracy.labels == 1.5 * AUDIT
    assert report(made).evaluation.audit_accuracy.value < CHANCE
    made.launch(THIRD)
    run(THIRD, made.ports)
    assert made.registry.metrics["champion_audit_accuracy"] < CHANCE
    assert max(measured(made)) < CHANCE


def test_labels_stay_unseen_after_classes_changed(first):
    made = first.copied()
    history = ClassHistory(digits.CLASSES).rename("7", "seven", 1.0).merge(["0", "6"], "round", 2.0)
    history = history.add(["torn"], 3.0)
    made.labels.classes = history
    made.ports = replace(made.ports, class_history=lambda: history)
    assert report(made).fold_heads == AUDIT
    assert report(made).evaluation.audit_accuracy.value < CHANCE + 0.05
    assert memorised(made) > 0.8
    made.launch(SECOND)
    run(SECOND, made.ports)
    assert made.registry.metrics["champion_audit_accuracy"] < CHANCE + 0.05
    assert max(measured(made)) < CHANCE + 0.05


def test_image_audited_later_judges_no_head_that_saw_it(first):
    made = first.copied()
    trained = range(1, 2 * AUDIT, 2)
    for index in trained:  # imported labels that were drawn for the audit share and confirmed
        row = made.pool.table[f"{index:04d}.png"]
        row.pick = replace(row.pick, audit=True, strategy=IMPORTED)
    record = made.training_records.get(serving(made))
    assert np.sum(record.folds == EVERY_HEAD) == AUDIT
    seen = report(made)
    assert (seen.fold_heads, seen.left_out) == (AUDIT, AUDIT)
    assert seen.evaluation.audit_accuracy.labels == AUDIT
    assert seen.evaluation.audit_accuracy.value < CHANCE
    made.launch(SECOND)
    run(SECOND, made.ports)
    assert made.registry.metrics["audit_labels"] == 2 * AUDIT, "each has a fold of the new model"
    assert made.registry.metrics["champion_audit_accuracy"] < CHANCE
    assert f"on {AUDIT} audit images" in made.control.state().reason


def test_label_given_during_training_is_judged_by_the_served_head():
    made = World()
    label_at_random(made, 0, 2 * AUDIT)
    made.serve(starter())
    promote = made.champions.promote

    def meanwhile(pointer, etag):
        label_at_random(made, 2 * AUDIT, 3 * AUDIT)
        return promote(pointer, etag)

    made.champions.promote = meanwhile
    assert run(JOB, made.ports) is Outcome.PROMOTED
    seen = report(made)
    assert (seen.fold_heads, seen.evaluation.audit_accuracy.labels) == (AUDIT, 1.5 * AUDIT)
    assert seen.evaluation.audit_accuracy.value < CHANCE


def without_audit(backbone, dataset, spec):
    """Train as a trainer that is too expensive to repeat, or as an earlier release."""
    part = dataset.part(audit=False)
    made = train_head(backbone, part, spec)
    held_out = np.full((len(dataset), len(spec.classes)), np.nan)
    held_out[[not image.audit for image in dataset.images]] = made.held_out
    return replace(made, held_out=held_out)


def test_trainer_without_audit_labels_is_judged_by_its_served_head():
    made = World()
    label_at_random(made, 0, 2 * AUDIT)
    made.serve(starter())
    assert run(JOB, replace(made.ports, trainer=without_audit)) is Outcome.PROMOTED
    assert made.registry.metrics["training_labels"] == AUDIT
    assert made.registry.params["audit_labels"] == KEPT_OUT
    assert report(made).fold_heads == 0
    assert made.registry.metrics["audit_accuracy"] == pytest.approx(memorised(made))
    assert memorised(made) < CHANCE


def test_champion_of_earlier_release_is_judged_by_its_served_head():
    made = World()
    label_at_random(made, 0, 2 * AUDIT)
    made.serve(starter())
    assert run(JOB, replace(made.ports, trainer=without_audit)) is Outcome.PROMOTED
    old = replace(serving(made), record_sha256="")
    made.champions.set(old)
    made.champions.versions[1] = replace(old, previous=None, generation=0)
    accuracy = memorised(made)
    assert report(made).evaluation.audit_accuracy.value == pytest.approx(accuracy)
    assert accuracy < CHANCE
    made.launch(SECOND)
    run(SECOND, made.ports)
    assert made.registry.metrics["champion_audit_accuracy"] == pytest.approx(accuracy)
    assert made.registry.metrics["audit_accuracy"] < CHANCE


def test_pointer_rewritten_by_an_earlier_release_keeps_its_record(first):
    made = first.copied()
    made.champions.set(replace(serving(made), record_sha256=""))
    assert report(made).fold_heads == AUDIT
    assert report(made).evaluation.audit_accuracy.value < CHANCE


def test_missing_record_refuses_every_challenger_and_says_why(first):
    made = first.copied()
    label_at_random(made, 2 * AUDIT, 3 * AUDIT)
    made.training_records.stored.clear()
    made.launch(SECOND)
    assert run(SECOND, made.ports) is Outcome.REFUSED
    assert "training record of version 1 is missing" in made.control.state().reason
    assert "champion_audit_accuracy" not in made.history.decision(SECOND).measures
    with pytest.raises(BadModel, match="training record of version 1"):
        report(made)
    assert PromoteVersion(made.champions, FakeEntries(made.pool))(2).version == 2
    assert report(made).evaluation.audit_accuracy.value < CHANCE


def test_images_that_tuned_the_backbone_never_judge_on_it(first):
    made = first.copied()
    record = made.training_records.get(serving(made))
    assert record is not None
    every = record.images[record.folds == EVERY_HEAD]
    tuned = made.training_records.put(replace(record, backbone=every))
    made.champions.set(replace(serving(made), record_sha256=tuned))
    for index in range(1, 2 * AUDIT, 4):
        row = made.pool.table[f"{index:04d}.png"]
        row.pick = replace(row.pick, audit=True)
    made.launch(SECOND)
    run(SECOND, made.ports)
    assert made.registry.metrics["audit_labels"] == AUDIT
    assert made.registry.metrics["training_labels"] == 2 * AUDIT
    after = made.training_records.get(made.champions.versions[2])
    assert after is not None
    assert np.array_equal(after.backbone, every)


STEPS = [
    ("registry", "log"),
    ("champions", "put_model"),
    ("training_records", "put"),
    ("champions", "keep"),
    ("history", "record"),
    ("champions", "promote"),
    ("registry", "set_alias"),
    ("control", "finish"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_job_that_dies_anywhere_gives_the_same_heads_again(after):
    undisturbed = small()
    run(JOB, undisturbed.ports)
    expected = serving(undisturbed)
    assert expected.record_sha256
    for part, name in STEPS:
        made = small()
        whole = getattr(made, part)

        def dies(*args, _whole=whole, _name=name, **kwargs):
            delattr(_whole, _name)
            if after:
                getattr(_whole, _name)(*args, **kwargs)
            raise RuntimeError(_name)

        setattr(whole, name, dies)
        with pytest.raises(RuntimeError, match=name):
            run(JOB, made.ports)
        made.launch(JOB)
        assert run(JOB, made.ports) is Outcome.PROMOTED, name
        assert made.champions.current == expected, name
        assert list(made.training_records.stored) == [expected.record_sha256], name


def small() -> World:
    made = World()
    for index in range(20):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index % 5 == 0)
    made.serve(starter())
    return made


def test_record_that_cannot_be_read_now_is_tried_again(first):
    made = first.copied()
    made.launch(SECOND)
    read, tries = made.training_records.get, []

    def once(pointer):
        tries.append(pointer)
        if len(tries) == 1:
            raise ServiceUnavailable("S3 does not answer")
        return read(pointer)

    made.training_records.get = once
    run(SECOND, made.ports)
    assert "missing" not in made.control.state().reason
    assert made.registry.metrics["champion_audit_accuracy"] < CHANCE

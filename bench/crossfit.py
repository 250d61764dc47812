"""Check on real images that a model may be trained on every label and still be measured honestly.

Each repeat draws labels at random. The served head is trained on all of them. Its accuracy on the images that
are left is the truth. Shown are

- how often the 95 % intervals from fold heads contain the truth, for 20 to 200 audit labels. These are a
  fifth of all labels, as by default. At least 19,000 images are left, because the truth must be known well:
  with m images left, the variance of the difference grows by the number of audit labels divided by m;
- how often the gate refuses spoiled challengers, with fold heads and without audit labels in training,
- what the audit labels add to the accuracy of the served head, by image set,
- the processor time of a job's heads for 5,000 labels.

    make image-sets
    python -m bench.crossfit [--sets NAMES] [--backbone NAME] [--repeats 500] [--json FILE]

Repeats are stored in the file, so that an interrupted run goes on. The script fails if an accuracy's interval
contains the truth in less than 93 % or more than 97.9 % of the repeats, or if the gate refuses spoiled
challengers less often than before by more than chance explains.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench import image_sets, label_value
from scipy.special import softmax

from octospoon.domain.evaluation import estimators, gate
from octospoon.domain.evaluation.metrics import paired_difference
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.task_types.classification import CLASSIFICATION, metrics
from octospoon.training.data.dataset import Dataset
from octospoon.training.head import cross_fit as heads
from octospoon.training.head.fit import fit_head
from octospoon.training.simulation import Labelled

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]

COVERED, JUDGED = (image_sets.LARGE.name,), ("digits", "solar-2")
AUDITS, OTHERS, GAINED = (20, 50, 100, 200), 100, (50, 100, 200)
SHARE, GATE_REPEATS, GAIN_REPEATS, BOOTSTRAPPED = 0.2, 100, 10, 100
LOWEST, HIGHEST = 0.93, 0.979
MEASURES = ("audit_accuracy", "log_loss", "overconfidence")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default=",".join(each.name for each in image_sets.SETS))
    parser.add_argument("--backbone", default="starter", choices=list(label_value.BACKBONES))
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--json", type=Path, default=label_value.STORED / "crossfit.json")
    chosen = parser.parse_args()
    files = label_value.embedded([*chosen.sets.split(","), *COVERED], [chosen.backbone])
    every = {name: label_value.source(path).data for (name, _), path in files.items()}
    sets = {name: data for name, data in every.items() if name not in COVERED}
    stored: dict[str, Any] = json.loads(chosen.json.read_text()) if chosen.json.exists() else {}
    covered = {name: every[name] for name in COVERED if name in every}
    judged = {name: sets[name] for name in JUDGED if name in sets}
    plan: list[tuple[str, Callable[[Labelled, int], Any], dict[str, Labelled], int]] = [
        ("gain", gain, sets, min(chosen.repeats, GAIN_REPEATS)),
        ("gate", refusals, judged, min(chosen.repeats, GATE_REPEATS)),
        *(("coverage", coverage, {name: data}, chosen.repeats) for name, data in covered.items()),
    ]
    for kind, measure, data, repeats in plan:
        for seed in range(repeats):
            for name in data:
                key = f"{kind} {name} {seed}"
                if key not in stored:
                    stored[key] = measure(data[name], seed)
            if seed % 10 == 9 or seed == repeats - 1:
                chosen.json.write_text(json.dumps(stored))
                label_value.say(f"{kind}: {seed + 1} of {repeats} repeats")
    stored["time"] = stored.get("time") or seconds(list(sets.values()))
    chosen.json.write_text(json.dumps(stored))
    return report(stored)


def drawn(data: Labelled, seed: int, n: int) -> tuple[Rows, Rows]:
    """Return n rows to label, and all other rows."""
    order = np.random.default_rng(seed).permutation(len(data.labels))
    return order[:n], order[n:]


def dataset(data: Labelled, rows: Rows, audit: int) -> Dataset:
    """Return labelled images, the first of which are the audit share, with their folds."""
    images = tuple(
        LabelledImage(f"{row:06d}", "e", str(data.labels[row]), 1.0, 1, i < audit, "random", None, 1)
        for i, row in enumerate(rows.tolist())
    )
    return Dataset(images, data.embeddings[rows], data.labels[rows], {}).deal(None, CLASSIFICATION.evaluator)


def audited(made: Dataset) -> npt.NDArray[np.bool_]:
    return np.array([image.audit for image in made.images], bool)


def coverage(data: Labelled, seed: int) -> dict[str, list[float]]:
    """Return estimate, ends of the interval, and truth of each measure, by number of audit labels."""
    rows, left = drawn(data, seed, round(AUDITS[-1] / SHARE))
    found = {}
    for audit in AUDITS:
        made = dataset(data, rows[: round(audit / SHARE)], audit)
        fitted = heads.cross_fit(made, data.classes, parts=data.parts)
        answers = softmax(fitted.served.logits(data.embeddings[left]), axis=1)
        truth = {
            "audit_accuracy": metrics.accuracy(answers, data.labels[left]),
            "log_loss": metrics.log_loss(answers, data.labels[left]),
            "overconfidence": metrics.overconfidence(answers, data.labels[left]),
        }
        given, labels = fitted.held_out[:audit], made.labels[:audit]
        right = int(np.sum(given.argmax(axis=1) == labels))
        factor = fitted.record.variance_factor(made.fold_numbers()[:audit])
        judged = {"audit_accuracy": estimators.proportion(right, audit, factor)}
        if seed < BOOTSTRAPPED:  # the bootstrap takes longer than the heads
            judged["log_loss"] = estimators.bootstrap(metrics.log_loss, given, labels, factor)
            judged["overconfidence"] = estimators.bootstrap(metrics.overconfidence, given, labels, factor)
        for name, estimate in judged.items():
            found[f"{name} {audit}"] = [estimate.value, estimate.low, estimate.high, truth[name]]
    return found


def spoiled(kind: str, labels: Rows, classes: int, rng: np.random.Generator) -> Rows:
    """Return labels as a broken job would have them."""
    labels, common = labels.copy(), np.argsort(np.bincount(labels, minlength=classes))[::-1]
    first, second = labels == common[0], labels == common[1]
    if kind == "shuffled":
        return rng.permutation(labels)
    if kind == "missing class":
        labels[first] = common[1]
    if kind == "swapped":
        labels[first], labels[second] = common[1], common[0]
    if kind == "five points worse":
        lost = rng.random(len(labels)) < min(1.0, WORSE / max(first.mean(), WORSE))
        labels[first & lost] = common[1]
    return labels


WORSE = 0.075
"""Share of all images whose label is changed for a challenger that is about five points worse."""
KINDS = ("good", "shuffled", "missing class", "swapped", "five points worse")


def refusals(data: Labelled, seed: int) -> dict[str, list[bool]]:
    """Return whether the gate refuses each challenger: as before, and with fold heads."""
    audit, rng = 100, np.random.default_rng(seed)
    rows, _ = drawn(data, seed, audit + OTHERS + OTHERS // 2)
    old, new = dataset(data, rows[: audit + OTHERS], audit), dataset(data, rows, audit)
    champion = answers(old, old.labels, data)
    refused = {}
    for kind in KINDS:
        challenger = answers(new, spoiled(kind, new.labels, data.classes, rng), data)
        refused[kind] = [
            not gate.decide(
                CLASSIFICATION.evaluator.comparison,
                _answers(data.classes, 2, mine),
                _answers(data.classes, 1, theirs),
                new.labels[:audit],
            ).promote
            for mine, theirs in zip(challenger, champion, strict=True)
        ]
    return refused


def answers(made: Dataset, labels: Rows, data: Labelled) -> list[npt.NDArray[np.floating]]:
    """Return probabilities of the audit images: of a head without them, and of the fold heads."""
    apart = ~audited(made)
    without = fit_head(made.embeddings[apart], labels[apart], data.classes, parts=data.parts)
    folded = heads.cross_fit(replace(made, labels=labels), data.classes, parts=data.parts)
    judged = ~apart
    return [softmax(without.logits(made.embeddings[judged]), axis=1), folded.held_out[judged]]


def _answers(classes: int, version: int, probabilities: npt.NDArray[np.floating]) -> gate.Answers:
    names = tuple(str(number) for number in range(classes))
    spec = ModelSpec(names, 32, 32, 8, "squash", "b" * 64, version)
    return gate.Answers(spec, probabilities, 0.01, 1000)


def gain(data: Labelled, seed: int) -> dict[str, list[float]]:
    """Return the accuracy of the served head without and with the audit labels, by number of labels."""
    found = {}
    for labels in GAINED:
        rows, left = drawn(data, seed, labels)
        if len(left) < len(rows):
            continue
        made = dataset(data, rows, round(labels * SHARE))
        apart = ~audited(made)
        without = fit_head(made.embeddings[apart], made.labels[apart], data.classes, parts=data.parts)
        served = heads.cross_fit(made, data.classes, parts=data.parts).served
        found[str(labels)] = [
            float(np.mean(head.logits(data.embeddings[left]).argmax(axis=1) == data.labels[left]))
            for head in (without, served)
        ]
    return found


def seconds(sets: list[Labelled], labels: int = 5000) -> list[float]:
    """Return processor seconds of a job's heads for 5,000 labels: without the audit share, and with it.

    The images are those of as many sets as have so many together; each set has classes of its own.
    """
    points, names, classes = [], [], 0
    for data in sorted(sets, key=lambda each: -len(each.labels)):
        points.append(data.embeddings)
        names.append(data.labels + classes)
        classes += data.classes
        if sum(map(len, points)) >= labels:
            break
    rows = np.random.default_rng(0).permutation(sum(map(len, points)))[:labels]
    every, known = np.concatenate(points)[rows], np.concatenate(names)[rows]
    made = dataset(Labelled(every, known, classes), np.arange(len(rows)), len(rows) // 5)
    apart, began = ~audited(made), time.process_time()
    fit_head(made.embeddings[apart], made.labels[apart], classes)
    middle = time.process_time()
    heads.cross_fit(made, classes)
    return [len(rows), classes, middle - began, time.process_time() - middle]


def report(stored: dict[str, Any]) -> int:
    problems = [*_coverage_report(stored), *_gate_report(stored)]
    print("\n| set | labels | without audit labels | with them | gain |\n|---|---|---|---|---|")
    for name in _names(stored, "gain"):
        for labels in GAINED:
            pairs = [each[str(labels)] for each in _repeats(stored, "gain", name) if str(labels) in each]
            if pairs:
                without, served = np.mean(pairs, axis=0)
                row = (f"{without:.1%}", f"{served:.1%}", f"{100 * (served - without):+.1f}")
                print(f"| {name} | {labels} | {' | '.join(row)} |")
    labels, classes, alone, every = stored["time"]
    print(
        f"\n{labels:.0f} labels, {classes:.0f} classes: {alone:.1f} s without audit labels, {every:.1f} with"
    )
    print("\n".join(problems) or "passed")
    return 1 if problems else 0


def _names(stored: dict[str, Any], kind: str) -> list[str]:
    return list(dict.fromkeys(key.split(" ")[1] for key in stored if key.startswith(f"{kind} ")))


def _repeats(stored: dict[str, Any], kind: str, name: str) -> list[Any]:
    return [value for key, value in stored.items() if key.startswith(f"{kind} {name} ")]


def _coverage_report(stored: dict[str, Any]) -> list[str]:
    problems = []
    print("| set | measure | audit labels | repeats | 95 % interval contains the truth | bias | width |")
    print("|---|---|---|---|---|---|---|")
    for name in _names(stored, "coverage"):
        repeats = _repeats(stored, "coverage", name)
        for measure in MEASURES:
            for audit in AUDITS:
                key = f"{measure} {audit}"
                rows = np.array([each[key] for each in repeats if key in each])
                value, low, high, truth = rows.T
                inside = float(np.mean((low <= truth) & (truth <= high)))
                figures = (
                    f"{len(rows)} | {inside:.1%} | {np.mean(value - truth):+.3f} | {np.mean(high - low):.3f}"
                )
                print(f"| {name} | {measure} | {audit} | {figures} |")
                if measure == "audit_accuracy" and not LOWEST <= inside <= HIGHEST:
                    problems.append(f"{name}, {audit} audit labels: coverage {inside:.1%}")
    return problems


def _gate_report(stored: dict[str, Any]) -> list[str]:
    problems = []
    print("\n| set | challenger | refused before | refused with fold heads |\n|---|---|---|---|")
    for name in _names(stored, "gate"):
        repeats = _repeats(stored, "gate", name)
        for kind in KINDS:
            before, now = np.array([each[kind] for each in repeats]).T
            print(f"| {name} | {kind} | {before.mean():.0%} | {now.mean():.0%} |")
            change = paired_difference(now, before)
            if change.high < 0 if kind != "good" else change.low > 0:
                problems.append(f"{name}, {kind}: refused {now.mean():.0%} instead of {before.mean():.0%}")
    return problems


if __name__ == "__main__":
    sys.exit(main())

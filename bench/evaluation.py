"""How good is the model? A naive answer, ours and the truth side by side, on real pictures.

For every model: three rounds of 40 labels chosen by margin_diverse, a head fitted on them as the default
trainer does. Then audit shares of N labels are drawn uniformly from the images that it was not trained on,
again and again. The truth is its accuracy on all of these. Run:

    python -m bench.evaluation [--repeats 200] [--labels 100] [--images FOLDER] [--json FILE]

FOLDER holds one folder of pictures per class and is looked at beside scikit-learn's digits; without it,
../shared/data/sign-digits/Dataset is, where it exists.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench.digits_offline import Data, load, predict, stored_rows, top, uniform

from octospoon.domain import estimation, evaluation
from octospoon.domain.draw import Draw
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.selection import candidates_wanted, compose, strategy_for
from octospoon.training import head, model_file

if TYPE_CHECKING:
    import numpy.typing as npt

BATCH, ROUNDS, AUDITS = 40, 3, 5
SIGNS = Path("../shared/data/sign-digits/Dataset")
NAMES = ("naive: all labels", "naive: held out in training", "audit share alone", "ours")


@dataclass(frozen=True)
class Model:
    """A model's answers float32 [N, C] on the N images it was not trained on, and naive measures of it."""

    answers: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    trained_right: npt.NDArray[np.bool_]
    held_out_right: npt.NDArray[np.bool_]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    signs = chosen.images or SIGNS
    folders = {"digits": None} | ({signs.parent.name: signs} if signs.is_dir() else {})
    if len(folders) == 1:
        print(f"SKIPPED: there are no pictures at {signs}; give a folder by --images")
    found = {name: dataset(name, folder, chosen.repeats, chosen.labels) for name, folder in folders.items()}
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1))
    verdicts = [kept(name, each) for name, each in found.items()]
    return 0 if all(verdicts) else 1


def dataset(name: str, folder: Path | None, repeats: int, labels: int) -> dict[str, dict[str, float]]:
    data = load(folder)
    with ProcessPoolExecutor() as processes:
        models = list(processes.map(learn, [data] * (-(-repeats // AUDITS)), range(repeats)))
    errors: dict[str, list[tuple[float, float, float]]] = {one: [] for one in NAMES}
    truths = []
    for seed, model in enumerate(models):
        truth = evaluation.accuracy(model.answers, model.labels)
        rng = np.random.default_rng(seed)
        for _ in range(AUDITS):
            truths.append(truth)
            drawn = rng.choice(len(model.labels), labels, replace=False)
            for one, estimate in zip(NAMES, estimates(model, drawn), strict=True):
                inside = estimate.low <= truth <= estimate.high
                errors[one].append((estimate.value - truth, inside, estimate.high - estimate.low))
    return show(name, labels, truths, {one: np.array(found) for one, found in errors.items()})


def estimates(model: Model, drawn: npt.NDArray[np.int64]) -> list[estimation.Estimate]:
    answers, labels = model.answers[drawn], model.labels[drawn]
    right = np.concatenate([answers.argmax(axis=1) == labels, model.trained_right])
    ours = estimation.evaluate(answers, labels, model.answers)
    held_out = model.held_out_right
    return [
        estimation.proportion(int(right.sum()), len(right)),
        estimation.proportion(int(held_out.sum()), len(held_out)),
        ours.audit_accuracy,
        ours.accuracy,
    ]


def show(
    name: str, labels: int, truths: list[float], errors: dict[str, npt.NDArray[np.float64]]
) -> dict[str, dict[str, float]]:
    print(f"\n{name}: {len(truths)} repeats, {labels} audit labels, true accuracy {np.mean(truths):.3f}")
    print(f"{'':28} estimate    bias    RMSE  against audit alone  95 % covers  width")
    alone = float(np.sqrt((errors[NAMES[2]][:, 0] ** 2).mean()))
    found = {}
    for one, (error, covered, width) in ((one, each.T) for one, each in errors.items()):
        rmse = float(np.sqrt((error**2).mean()))
        found[one] = {
            "estimate": float(np.mean(truths) + error.mean()),
            "bias": float(error.mean()),
            "rmse": rmse,
            "rmse_ratio": rmse / alone,
            "coverage": float(covered.mean()),
            "width": float(width.mean()),
        }
        print(
            f"{one:28} {found[one]['estimate']:8.3f} {error.mean():+7.3f} {rmse:7.3f} {rmse / alone:20.2f} "
            f"{covered.mean():12.1%} {width.mean():6.3f}"
        )
    return found


def kept(name: str, found: dict[str, dict[str, float]]) -> bool:
    """Say whether ours keeps its word: it covers as it says, and is no worse than the audit share alone."""
    ours = found["ours"]
    good = 0.93 <= ours["coverage"] <= 0.97 and ours["rmse_ratio"] <= 1.0
    print(
        f"{name}: ours covers 93 to 97 % and no worse than the audit share alone: {'yes' if good else 'NO'}"
    )
    return good


def learn(data: Data, seed: int) -> Model:
    """Run three rounds of active learning without an audit share, on all images."""
    left = {f"{index:05d}": index for index in range(len(data.labels))}
    train: list[int] = []
    file: bytes | None = None
    held_out = np.empty((0, data.classes))
    for number in range(ROUNDS):
        rows = stored_rows(data, left, file)
        choice, salt = strategy_for("margin_diverse", has_head=file is not None), f"{seed}/{number}"
        wanted = candidates_wanted(BATCH, choice)
        found = top(rows, choice.name, wanted) if choice.needs_probabilities else uniform(rows, wanted, salt)
        picks = compose(
            n=BATCH,
            audit_share=0.0,
            audit=Draw((), len(rows)),
            candidates=found,
            rows=rows,
            chosen=choice,
            seed=salt,
        )
        train += [left.pop(pick.key) for pick in picks]
        file, held_out = fit(data, train)
    unseen, truth = np.array(list(left.values())), data.labels[train]
    assert file is not None
    right = predict(file, data.embeddings[train]).argmax(axis=1) == truth
    answers = predict(file, data.embeddings[unseen])
    return Model(answers, data.labels[unseen], right, held_out.argmax(axis=1) == truth)


def fit(data: Data, train: list[int]) -> tuple[bytes, npt.NDArray[np.float64]]:
    """Return a head file, and what heads that had not seen the training rows say of them."""
    found = head.fit(data.embeddings[train], data.labels[train], data.classes)
    names = tuple(str(i) for i in range(data.classes))
    spec = ModelSpec(names, 32, 32, data.embeddings.shape[1], "squash", "0" * 64, 1)
    return model_file.head_file(found.weights, found.bias, spec), np.nan_to_num(found.out_of_fold)


if __name__ == "__main__":
    sys.exit(main())

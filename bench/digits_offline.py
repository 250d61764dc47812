"""Active learning against a random control, offline: the project's own functions and ONNX files, no services.

Three rounds of 50 labels, a fifth of each a uniform audit share that is never trained on; accuracy on a fixed
held-out third. The control trains on every label of a uniform draw. Run:

    python bench/digits_offline.py [--seeds 10] [--images FOLDER]

FOLDER holds one folder of pictures per class; without it, scikit-learn's digits are used.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import train_test_split

from octospoon.adapters.onnx_scorer import OnnxScorer
from octospoon.adapters.onnx_session import OnnxHead
from octospoon.cli import digits
from octospoon.domain import evaluation
from octospoon.domain.acquisition import priority, uncertainty
from octospoon.domain.draw import Draw
from octospoon.domain.entities import Candidate, PoolRow, State
from octospoon.domain.keys import lottery, unit_hash
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.selection import audit_count, candidates_wanted, compose, strategy_for
from octospoon.training import head, model_file

if TYPE_CHECKING:
    import numpy.typing as npt

BATCH, ROUNDS, AUDIT_SHARE = 50, 3, 0.2
TARGET, LEAD = 0.96, 0.02


@dataclass(frozen=True)
class Data:
    """Embeddings float32 [N, D] as stored, classes int64 [N], the pool's and the held-out indices."""

    embeddings: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    classes: int
    pool: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--strategies", nargs="*", default=["margin_diverse"])
    chosen = parser.parse_args()
    data = load(chosen.images)
    started = time.perf_counter()
    control = np.array([random_control(data, seed) for seed in range(chosen.seeds)])
    show("random control", control)
    ended = {
        name: np.array([active(data, name, seed) for seed in range(chosen.seeds)])
        for name in chosen.strategies
    }
    for name, curve in ended.items():
        show(name, curve, control)
    print(f"{chosen.seeds} seeds each, {time.perf_counter() - started:.0f} s")
    final = ended[chosen.strategies[0]][:, -1].mean()
    reached = final >= TARGET and final - control[:, -1].mean() >= LEAD
    print(f"target (accuracy >= {TARGET}, lead >= {LEAD}): {'reached' if reached else 'missed'}")
    return 0 if reached else 1


def show(name: str, curve: npt.NDArray[np.float64], control: npt.NDArray[np.float64] | None = None) -> None:
    for number in range(ROUNDS):
        value = curve[:, number]
        lead = "" if control is None else f"  lead {value.mean() - control[:, number].mean():+.4f}"
        print(
            f"{name:16} {BATCH * (number + 1):4} labels: mean {value.mean():.4f} "
            f"sd {value.std(ddof=1):.4f} min {value.min():.4f} max {value.max():.4f}{lead}"
        )


def random_control(data: Data, seed: int) -> list[float]:
    order = np.random.default_rng(seed).permutation(data.pool)
    return [accuracy(data, order[: BATCH * (number + 1)]) for number in range(ROUNDS)]


def active(data: Data, name: str, seed: int) -> list[float]:
    """Run the loop once; return the held-out accuracy after each round."""
    left = {f"{index:05d}": int(index) for index in data.pool}
    train: list[int] = []
    curve: list[float] = []
    file: bytes | None = None
    for number in range(ROUNDS):
        rows = stored_rows(data, left, file)
        choice = strategy_for(name, has_head=file is not None)
        salt = f"{seed}/{number}"
        audit = Draw(uniform(rows, audit_count(BATCH, AUDIT_SHARE), f"{salt}/audit"), len(rows))
        wanted = candidates_wanted(BATCH, choice)
        found = top(rows, name, wanted) if choice.needs_probabilities else uniform(rows, wanted, salt)
        picks = compose(
            n=BATCH,
            audit_share=AUDIT_SHARE,
            audit=audit,
            candidates=found,
            rows=rows,
            chosen=choice,
            seed=salt,
        )
        train += [left[pick.key] for pick in picks if not pick.audit]
        for pick in picks:
            del left[pick.key]
        file = fit(data, np.array(train))
        curve.append(measured(data, file))
    return curve


def accuracy(data: Data, indices: npt.NDArray[np.int64]) -> float:
    return measured(data, fit(data, indices))


def fit(data: Data, indices: npt.NDArray[np.int64]) -> bytes:
    found = head.fit(data.embeddings[indices], data.labels[indices], data.classes)
    names = tuple(str(i) for i in range(data.classes))
    spec = ModelSpec(names, 32, 32, data.embeddings.shape[1], "squash", "0" * 64, 1)
    return model_file.head_file(found.weights, found.bias, spec)


def measured(data: Data, file: bytes) -> float:
    guesses = predict(file, data.embeddings[data.held_out])
    return evaluation.accuracy(guesses, data.labels[data.held_out])


def predict(file: bytes, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.onnx"
        path.write_bytes(file)
        return OnnxHead(path).run(embeddings)


def stored_rows(data: Data, left: dict[str, int], file: bytes | None) -> dict[str, PoolRow]:
    """Return the pool's rows as DynamoDB would hold them: float16 throughout."""
    embeddings = data.embeddings[list(left.values())]
    guesses = None if file is None else predict(file, embeddings).astype(np.float16).astype(np.float32)
    return {
        key: PoolRow(
            key, "", State.SCORED, 1, "0" * 64, embeddings[i], None if guesses is None else guesses[i]
        )
        for i, key in enumerate(left)
    }


def uniform(rows: dict[str, PoolRow], n: int, salt: str) -> list[Candidate]:
    keys = sorted(rows, key=lambda key: unit_hash(key, salt))
    return [Candidate(key, "", None, lottery(key)) for key in keys[:n]]


def top(rows: dict[str, PoolRow], name: str, n: int) -> list[Candidate]:
    found = [
        Candidate(row.key, "", priority(uncertainty(row.probabilities), name), lottery(row.key))
        for row in rows.values()
        if row.probabilities is not None
    ]
    return sorted(found, key=lambda one: (-(one.priority or 0.0), one.key))[:n]


def load(folder: Path | None) -> Data:
    """Embed the pictures by the starter model; print what that costs."""
    if folder is None:
        split, labels = digits.split(), digits.labels()
        files = [digits.png_bytes(index) for index in range(len(labels))]
        pool, held_out = split.pool, split.held_out
    else:
        paths = sorted(path for path in folder.glob("*/*") if path.is_file())
        files = [path.read_bytes() for path in paths]
        names = sorted({path.parent.name for path in paths})
        labels = np.array([names.index(path.parent.name) for path in paths])
        pool, held_out = train_test_split(
            np.arange(len(paths)), test_size=1 / 3, stratify=labels, random_state=digits.SPLIT_SEED
        )
    return Data(embed(files), labels, len(np.unique(labels)), pool, held_out)


def embed(files: list[bytes]) -> npt.NDArray[np.float32]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model_file.starter_model())
        scorer = OnnxScorer(path)
        pixels = [scorer.preprocess(data)[np.newaxis] for data in files]
        started = time.perf_counter()
        embeddings = np.concatenate([scorer.run(image)[0] for image in pixels])
        spent = (time.perf_counter() - started) / len(files)
        print(f"starter model: {path.stat().st_size / 1e6:.1f} MB, {spent * 1e3:.2f} ms an image, one thread")
    return embeddings.astype(np.float16).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())

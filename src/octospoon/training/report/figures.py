"""Draw the figures of a training run. An error is logged as a warning and never fails the job."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import numpy as np

from octospoon.training.report import contact_sheet, drift_history, model_versions
from octospoon.training.report.contact_sheet import Thumbnails, Tile
from octospoon.training.report.reports import REPORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import LabelledImage, Round
    from octospoon.domain.monitoring.observations import DriftExample, ModelDecision
    from octospoon.training.context import TrainingPorts
    from octospoon.training.data.dataset import Dataset

_log = logging.getLogger(__name__)


class Figures:
    """Writes the figures of one run into a folder.

    Args:
        ports: the ports of the job.
        folder: an existing folder.
        resize: the model's resize rule.
    """

    def __init__(self, ports: TrainingPorts, folder: Path, resize: str) -> None:
        self._ports, self._folder, self._resize = ports, folder, resize

    def mistakes(
        self, dataset: Dataset, audit: npt.NDArray[np.floating], held_out: npt.NDArray[np.floating]
    ) -> None:
        """Write ``mistakes.png``: the audit images with the highest loss.

        Without an audit share, these are training images, with out-of-fold probabilities.

        Args:
            dataset: all labelled images.
            audit: float [N, C], probabilities of its N audit images.
            held_out: float [M, C], out-of-fold probabilities of its M other images; NaN in rows without them.
        """
        with _logged("the sheet of mistakes"):
            title = "audit share" if len(audit) else "training labels, cross-validated"
            part, answers = dataset.part(audit=len(audit) > 0), audit if len(audit) else held_out
            known = np.flatnonzero(np.isfinite(answers.reshape(len(answers), -1)).all(axis=1))
            if len(known):
                images = [part.images[i] for i in known]
                mistakes = REPORTS[self._ports.task_type.name].mistakes
                tiles = mistakes(self._ports.classes, images, part.labels[known], answers[known])
                self._sheet("mistakes.png", f"{title}, by loss; red: wrong", tiles)

    def newest_round(self, images: Sequence[LabelledImage]) -> None:
        """Write ``round.png``: the newest round and its strategies; `images` have the labels."""
        with _logged("the sheet of the newest round"):
            rounds = self._ports.rounds
            newest = rounds.read(rounds.last_number())
            if newest is not None and newest.picks:
                tiles = chosen(newest, self._labels(images))
                title = f"round {newest.number} of {newest.created_at[:10]}, chosen with version"
                self._sheet("round.png", f"{title} {newest.model_version}: {len(newest.picks)} images", tiles)

    def drift(self, images: Sequence[LabelledImage]) -> None:
        """Write ``drift.csv``, ``drift.png`` and ``drifted.png``.

        The first two show the daily observations, the third the images that differ most from the reference.
        A file without data is not written.

        Args:
            images: the labelled images, for the labels on the sheet.
        """
        with _logged("the figure of drift"):
            observation = self._ports.observations.read()
            drift_history.write(self._folder, observation.history, self._ports.task_type.evaluator)
            if observation.drifted and observation.finding:
                tiles = most_drifted(observation.drifted, self._labels(images))
                number, until = observation.finding.images, observation.judged_until
                title = f"most drifted of {number} uploads until {until}, for version {observation.version}"
                self._sheet("drifted.png", title, tiles)

    def versions(self, newest: ModelDecision) -> None:
        """Write ``versions.csv`` and ``versions.png``: the learning curve over versions."""
        with _logged("the learning curve"):
            jobs = self._ports.control.state().jobs
            decisions = model_versions.decided(self._ports.history, jobs, newest)
            model_versions.write(self._folder, decisions, self._ports.task_type.evaluator)

    def _labels(self, images: Sequence[LabelledImage]) -> dict[tuple[str, str], str]:
        """Return the labels as people read them, by key and ETag."""
        shown, history = self._ports.task_type.labels.shown, self._ports.class_history()
        return {(image.key, image.etag): shown(image.label, history) for image in images}

    def _sheet(self, name: str, title: str, tiles: Sequence[Tile]) -> None:
        thumbnails = Thumbnails(self._ports.images, self._resize)
        contact_sheet.draw(self._folder / name, title, tiles, thumbnails)


def chosen(batch: Round, labels: Mapping[tuple[str, str], str]) -> list[Tile]:
    """Return tiles of a round's images by rank, audit images last; `labels` are by key and ETag."""
    picks = sorted(batch.picks, key=lambda pick: (pick.audit, pick.rank))[: contact_sheet.MOST]
    return [
        Tile(
            pick.key,
            pick.etag,
            (
                f"{pick.rank + 1}. {'audit' if pick.audit else pick.strategy}",
                "no score" if pick.score is None else f"score {pick.score:.4f}",
                _label(labels.get((pick.key, pick.etag))),
            ),
        )
        for pick in picks
    ]


def most_drifted(images: Sequence[DriftExample], labels: Mapping[tuple[str, str], str]) -> list[Tile]:
    """Return tiles of the drift examples in their order; `labels` are by key and ETag."""
    tiles = []
    for i, example in enumerate(images[: contact_sheet.MOST]):
        label = _label(labels.get((example.key, example.etag)))
        tiles.append(Tile(example.key, example.etag, (f"{i + 1}. score {example.score:.4f}", label)))
    return tiles


def _label(label: str | None) -> str:
    return f"label {label}" if label is not None else "not labelled yet"


@contextlib.contextmanager
def _logged(what: str) -> Iterator[None]:
    """Log any error of the block as a warning."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  a missing figure must not lose a model
        _log.warning("%s could not be made: %s: %s", what, type(error).__name__, error)

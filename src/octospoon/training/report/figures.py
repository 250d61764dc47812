"""What a run shows to people beside its figures. Nothing here fails a job: what goes wrong is a warning."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import metrics
from octospoon.training.report import contact_sheet, drift_history, model_versions
from octospoon.training.report.contact_sheet import Thumbnails, Tile

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
    """Writes the pictures of one run into a folder.

    Args:
        ports: of the job.
        folder: where to.
        resize: the model's resize rule.
    """

    def __init__(self, ports: TrainingPorts, folder: Path, resize: str) -> None:
        self._ports, self._folder, self._resize = ports, folder, resize

    def mistakes(
        self, dataset: Dataset, audit: npt.NDArray[np.floating], held_out: npt.NDArray[np.floating]
    ) -> None:
        """Write ``mistakes.png``: the images of the audit share that the model was most wrong about.

        Where there is no audit share, those of the training labels, by models that had not seen them.

        Args:
            dataset: all labelled images.
            audit: float [N, C], answers for its N audit images.
            held_out: float [M, C], answers for the M others; NaN in rows without one.
        """
        with _told("the sheet of mistakes"):
            title = "audit share" if len(audit) else "training labels, cross-validated"
            part, answers = dataset.part(audit=len(audit) > 0), audit if len(audit) else held_out
            known = np.flatnonzero(np.isfinite(answers).all(axis=1))
            if len(known):
                images = [part.images[i] for i in known]
                tiles = worst(self._ports.classes, images, part.labels[known], answers[known])
                self._sheet("mistakes.png", f"{title}, by loss; red: wrong", tiles)

    def newest_round(self, images: Sequence[LabelledImage]) -> None:
        """Write ``round.png``: what was chosen last, by which strategy; labels are those of `images`."""
        with _told("the sheet of the newest round"):
            rounds = self._ports.rounds
            found = rounds.read(rounds.last_number())
            if found is not None and found.picks:
                tiles = chosen(found, {(image.key, image.etag): image.label for image in images})
                title = f"round {found.number} of {found.created_at[:10]}, chosen by version"
                self._sheet("round.png", f"{title} {found.model_version}: {len(found.picks)} images", tiles)

    def drift(self, images: Sequence[LabelledImage]) -> None:
        """Write ``drift.csv`` and ``drift.png``, what watching saw day by day, and ``drifted.png``.

        The latter are the images by which the newest drift shows; labels are those of `images`. What there is
        nothing for is not written.
        """
        with _told("the picture of drift"):
            seen = self._ports.observations.read()
            drift_history.write(self._folder, seen.history)
            if seen.drifted and seen.finding:
                tiles = most_drifted(seen.drifted, {(one.key, one.etag): one.label for one in images})
                title = f"drifted most of {seen.finding.images} uploads until {seen.judged_until}"
                self._sheet("drifted.png", f"{title}, to version {seen.version}", tiles)

    def versions(self, newest: ModelDecision) -> None:
        """Write ``versions.csv`` and ``versions.png``: the learning curve over versions."""
        with _told("the learning curve"):
            jobs = self._ports.control.state().jobs
            model_versions.write(self._folder, model_versions.decided(self._ports.history, jobs, newest))

    def _sheet(self, name: str, title: str, tiles: Sequence[Tile]) -> None:
        thumbnails = Thumbnails(self._ports.images, self._resize)
        contact_sheet.draw(self._folder / name, title, tiles, thumbnails)


def worst(
    classes: Sequence[str],
    images: Sequence[LabelledImage],
    labels: npt.NDArray[np.int64],
    answers: npt.NDArray[np.floating],
) -> list[Tile]:
    """Return the images of highest loss, for int [N] labels and float [N, C] answers."""
    order = np.argsort(-metrics.losses(answers, labels), kind="stable")[: contact_sheet.MOST]
    return [_answered(classes, images[i], int(labels[i]), answers[i]) for i in order]


def _answered(
    classes: Sequence[str], image: LabelledImage, true: int, answer: npt.NDArray[np.floating]
) -> Tile:
    said = int(answer.argmax())
    lines = (f"is {classes[true]} ({answer[true]:.1%})", f"says {classes[said]} ({answer[said]:.1%})")
    return Tile(image.key, image.etag, lines, marked=said != true)


def chosen(found: Round, labels: Mapping[tuple[str, str], str]) -> list[Tile]:
    """Return a round's images by their rank, those of the audit share last; labels by key and ETag."""
    picks = sorted(found.picks, key=lambda pick: (pick.audit, pick.rank))[: contact_sheet.MOST]
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
    """Return the images by which drift shows, in their order; labels by key and ETag."""
    return [
        Tile(one.key, one.etag, (f"{i + 1}. score {one.score:.4f}", _label(labels.get((one.key, one.etag)))))
        for i, one in enumerate(images[: contact_sheet.MOST])
    ]


def _label(label: str | None) -> str:
    return f"label {label}" if label is not None else "not labelled yet"


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  a model is worth more than a picture
        _log.warning("%s could not be made: %s: %s", what, type(error).__name__, error)

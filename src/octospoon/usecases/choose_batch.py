"""Choose the next labelling batch from the pool's present state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition import rare_classes
from octospoon.domain.batch import class_share, drift_share
from octospoon.domain.batch.audit_share import AuditPlan
from octospoon.domain.batch.compose import (
    CANDIDATES_PER_PICK,
    COLD_CANDIDATES,
    candidates_wanted,
    compose,
    may_seek_rare,
    seeks_rare,
    strategy_for,
)
from octospoon.domain.batch.draw import draw, spread
from octospoon.domain.labelling.addresses import why_not_shown
from octospoon.domain.labelling.classes import LEAST, ClassHistory
from octospoon.domain.labelling.tasks import Round
from octospoon.domain.pool.boxes import classes_of, of_classes
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.acquisition import Strategy
    from octospoon.domain.batch.compose import BatchRules
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.monitoring.observations import DriftExample
    from octospoon.domain.pool.images import Candidate, PoolRow
    from octospoon.domain.task_types.task_type import TaskType, Translation
    from octospoon.ports.clock import Clock
    from octospoon.ports.labelling import Rounds
    from octospoon.ports.models import Observations
    from octospoon.ports.pool import RankingPool
    from octospoon.usecases.first_batches import FirstBatches


def _whole(images: int, version: int) -> AuditPlan:
    del version
    return AuditPlan(images)


@dataclass(frozen=True, slots=True)
class ChooseBatch:
    """The use case. It stores nothing, and equal stored data give an equal batch.

    Attributes:
        pool: the images.
        rounds: the labelling rounds so far.
        clock: the time.
        rules: the rules of every batch.
        strategy: name of the acquisition strategy.
        task_type: the kind of label.
        observations: the results of `watch`, with the drift examples.
        history: returns the project's classes; predictions name these.
        class_labels: returns the number of training labels of each class at the newest training job.
        plan_audit: returns the size of the audit share, see `PlanAudit`; by default it never changes.
        jobs: returns the number of training jobs started so far.
        first: the size of a batch while no model has classes; None for the usual size.
    """

    pool: RankingPool
    rounds: Rounds
    clock: Clock
    rules: BatchRules
    strategy: str
    task_type: TaskType
    observations: Observations
    history: Callable[[], ClassHistory] = ClassHistory
    class_labels: Callable[[], Mapping[str, int]] = dict
    plan_audit: Callable[[int, int], AuditPlan] = _whole
    jobs: Callable[[], int] = lambda: 0
    first: FirstBatches | None = None

    def __call__(self, pointer: ChampionPointer) -> Round:
        """Choose the next round.

        Args:
            pointer: of the model in service.
        """
        jobs, number = self.jobs(), self.rounds.last_number() + 1
        seed, (rules, notes) = f"round-{number}", self._rules(pointer)
        chosen = strategy_for(self.strategy, has_head=pointer.predicts)
        pages = self.pool.selectable
        drawn = draw(pages, rules.audit + rules.control, f"{seed}-audit")
        candidates = self._candidates(pointer, rules, chosen, len(drawn.images), seed)
        looked_at = (
            spread(pages, rare_classes.LOOKED_AT, f"{seed}-rare") if may_seek_rare(rules, chosen) else []
        )
        drifted = self._drifted(pointer)
        candidates, looked_at = _shown(candidates), _shown(looked_at)
        promising = self._promising(pointer, f"{seed}-classes")
        keys = [image.key for images in (candidates, looked_at, drifted, promising) for image in images]
        rows = self._rows(list(dict.fromkeys(keys)), pointer)
        seen = [rows[image.key] for image in looked_at if image.key in rows]
        labels, note = self._rare(pointer, rules, chosen, seen)
        if note:
            # few of the most uncertain images may show a rare class
            candidates = list({image.key: image for image in (*looked_at, *candidates)}.values())
            notes = (*notes, note)
        picks = compose(
            rules=rules,
            drawn=drawn,
            candidates=candidates,
            rows=rows,
            chosen=chosen,
            task_type=self.task_type,
            seed=seed,
            drifted=drifted,
            promising=promising,
            labels=labels,
        )
        created = datetime.fromtimestamp(self.clock.now(), UTC).isoformat()
        return Round(number, created, pointer.version, picks, jobs, notes)

    def _candidates(
        self, pointer: ChampionPointer, rules: BatchRules, chosen: Strategy, drawn: int, seed: str
    ) -> Sequence[Candidate]:
        """Return the images that the strategy may choose from."""
        wanted = candidates_wanted(rules.size, chosen)
        if not chosen.needs_probabilities:
            return spread(self.pool.selectable, wanted, seed)
        # the drawn images may be among the top ones: read as many more
        top = self.pool.top(wanted + drawn)
        if not pointer.detects or len(top) == wanted + drawn:
            return top
        # few images have boxes yet: the others can be chosen by their embeddings
        others = spread(self.pool.selectable, COLD_CANDIDATES, seed)
        return [*top, *(image for image in others if image.priority is None)]

    def _rare(
        self, pointer: ChampionPointer, rules: BatchRules, chosen: Strategy, seen: Sequence[PoolRow]
    ) -> tuple[npt.NDArray[np.int64] | None, str]:
        """Return the labels of each class and a note if the batch looks for rare classes; else None and "".

        Args:
            pointer: of the model in service.
            rules: of the batch.
            chosen: the strategy.
            seen: a sample of the pool.
        """
        names, labels = self._counted(pointer)
        shares = _shares(seen, len(names))
        if not seeks_rare(rules, chosen, shares):
            return None, ""
        return labels, rare_classes.note(shares, labels, names)

    def _rules(self, pointer: ChampionPointer) -> tuple[BatchRules, tuple[str, ...]]:
        """Return the rules of this batch, and why they differ from those of every batch."""
        rules, notes = self.rules, []
        if self.first and not pointer.predicts:
            rules = replace(rules, size=self.first.size())
            notes.append(self.first.note())
        audit = self.plan_audit(rules.audit, pointer.version)
        notes.append(audit.reason)
        return rules.drawing(audit.images), tuple(note for note in notes if note)

    def _promising(self, pointer: ChampionPointer, seed: str) -> Sequence[DriftExample]:
        """Return images that may show an added class with few labels, best first."""
        history = self.history()
        wanted = class_share.sought(history, self.class_labels()) if history.changes else {}
        if not wanted or not self.rules.new_classes:
            return ()
        images = spread(self.pool.selectable, class_share.LOOKED_AT, seed)
        rows = self.pool.rows([image.key for image in images if not why_not_shown(image.key)])
        labelled = () if any(wanted.values()) else self._labelled()
        translated = self.task_type.translation(history, pointer.classes)
        examples = class_share.examples(list(rows.values()), pointer.classes, translated, wanted, labelled)
        return examples[: CANDIDATES_PER_PICK * self.rules.new_classes]

    def _counted(self, pointer: ChampionPointer) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
        """Return the classes of the rows' probabilities, and the number of training labels of each."""
        history, counts = self.history(), Counter[str]()
        translated = self._translated(pointer)
        names = tuple(translated.names) if translated else pointer.classes
        for name, count in self.class_labels().items():
            counts[history.current(name) or ""] += count
        return names, np.array([counts[name] for name in names], np.int64)

    def _labelled(self) -> Sequence[PoolRow]:
        """Return the labelled images of the newest rounds."""
        last = self.rounds.last_number()
        numbers = range(last, max(0, last - class_share.ROUNDS), -1)
        rounds = [round_ for number in numbers if (round_ := self.rounds.read(number))]
        keys = [pick.key for round_ in rounds for pick in round_.picks]
        return [
            row for row in self.pool.rows(list(dict.fromkeys(keys))).values() if row.state is State.LABELLED
        ]

    def _rows(self, keys: Sequence[str], pointer: ChampionPointer) -> dict[str, PoolRow]:
        """Return rows of the pool with probabilities of the project's classes."""
        rows, translated = self.pool.rows(keys), self._translated(pointer)
        if translated is None:
            return rows
        return {
            key: replace(row, probabilities=translated(row.probabilities[np.newaxis])[0])
            if row.probabilities is not None and classes_of(row.probabilities) == len(pointer.classes)
            else row
            for key, row in rows.items()
        }

    def _translated(self, pointer: ChampionPointer) -> Translation | None:
        """Return how the model's classes become the project's; None where they stay as they are."""
        history = self.history()
        translated = self.task_type.translation(history, pointer.classes)
        return translated if history.revision and len(translated.names) >= LEAST else None

    def _drifted(self, pointer: ChampionPointer) -> Sequence[DriftExample]:
        return drift_share.of(self.observations.read(), pointer.version) if self.rules.drift else ()


def _shown(images: Sequence[Candidate]) -> list[Candidate]:
    return [image for image in images if not why_not_shown(image.key)]


def _shares(rows: Sequence[PoolRow], classes: int) -> npt.NDArray[np.float64]:
    """Return the mean probability of each class, float64 [C]; empty if no row has probabilities of them."""
    known = [of_classes(row.probabilities) for row in rows if row.probabilities is not None]
    known = [probabilities for probabilities in known if len(probabilities) == classes]
    if not known:
        return np.empty(0)
    shares: npt.NDArray[np.float64] = np.mean(known, axis=0, dtype=np.float64)
    return shares

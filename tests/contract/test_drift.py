"""Images of a window that drifted get a share of the next batch. Only the stores are involved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from fakes.images import FakeImages
from fakes.label_studio import FakeLabeler
from fakes.models import FakeChampions, FakeRescoring

from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring import drift
from octospoon.domain.monitoring.drift import Level
from octospoon.domain.monitoring.observations import Observation
from octospoon.domain.pool.images import ImageRef, Prediction, ScoredImage
from octospoon.domain.pool.keys import SHARDS, day
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.usecases.choose_batch import ChooseBatch
from octospoon.usecases.live_evaluation import EvaluateLive
from octospoon.usecases.open_tasks import OpenTasks
from octospoon.usecases.rank import Rank
from octospoon.usecases.rescore import Reorder
from octospoon.usecases.watch import Watch

if TYPE_CHECKING:
    import numpy.typing as npt

    from contract.conftest import Stores

DAY = 24 * 3600.0
POINTER = ChampionPointer(3, "s" * 64, "k", "b" * 64, "h", "h" * 64, ("left", "right"))


class Sides:
    """A head whose probabilities are a logistic function of the first coordinate."""

    def run(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        right = 1 / (1 + np.exp(-2 * embeddings[:, 0]))
        return np.stack([1 - right, right], axis=1).astype(np.float32)


def upload(stores: Stores, folder: str, embeddings: npt.NDArray[np.float32]) -> None:
    answers = Sides().run(embeddings)
    stores.scoring.insert_scores(
        [
            ScoredImage(ImageRef(f"{folder}/{i:03d}", "e", "1", 1), Prediction(3, "b" * 64, *scores))
            for i, scores in enumerate(zip(embeddings, answers, strict=True))
        ]
    )


def test_drifted_images_are_in_the_next_rounds_once_each(stores: Stores) -> None:
    rng = np.random.default_rng(0)
    known = rng.standard_normal((900, 8)).astype(np.float32)
    stores.references.put(POINTER.sha256, drift.reference(known, Sides().run(known)))
    upload(stores, "old", rng.standard_normal((80, 8)).astype(np.float32))
    upload(stores, "new", rng.standard_normal((40, 8)).astype(np.float32) / 4 + 2)  # type: ignore[arg-type]
    stores.observations.save(Observation(3, judged_until=day(stores.clock.time - DAY)))
    stores.clock.time += DAY
    watch = Watch(
        lambda: (POINTER, Sides()),
        EvaluateLive(stores.pool, stores.labels, stores.training_records, CLASSIFICATION),
        stores.watching,
        stores.references,
        stores.observations,
        stores.control,
        stores.clock,
        CLASSIFICATION,
    )
    champions, labeler = FakeChampions(), FakeLabeler()
    champions.set(POINTER)
    rank = Rank(
        stores.ranking,
        stores.rounds,
        labeler,
        FakeImages(),
        champions,
        stores.clock,
        choose=ChooseBatch(
            stores.ranking,
            stores.rounds,
            stores.clock,
            BatchRules(10, 0.2, drift_share=0.5),
            "margin",
            CLASSIFICATION,
            stores.observations,
        ),
        task_type=CLASSIFICATION,
        open_tasks=OpenTasks(labeler, stores.pool, stores.clock, days=14),
        max_open_tasks=100,
        reorder=Reorder(
            FakeRescoring(dict.fromkeys(range(SHARDS), "margin")),
            [].append,  # type: ignore[arg-type]
            "margin",
            stores.clock,
        ),
        refresh=lambda: 0,
    )

    report = watch()
    assert report.finding is not None
    assert report.finding.level is Level.CONFIRMED
    first = rank.choose(POINTER).picks
    assert rank().exported == 10
    stored = stores.rounds.read(1)
    assert stored is not None
    assert stored.picks == first, "a run that dies before it stores a round chooses the same again"
    taken = [*first, *rank.choose(POINTER).picks]

    chosen = [pick for pick in taken if pick.strategy == "drift"]
    assert len(chosen) == 10
    assert {pick.key.partition("/")[0] for pick in chosen} == {"new"}
    assert {(pick.audit, pick.draw_probability) for pick in chosen} == {(False, None)}
    assert len({pick.key for pick in taken}) == 20

"""The queries by which re-scoring reads the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fakes.images import FakeUploads

from contract.test_pool import BACKBONE, embedded, image, pick, prediction
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ScoredImage, State
from octospoon.domain.pool.keys import SHARDS, day, sampling_key, shard
from octospoon.usecases.read_again import ReadAgain
from octospoon.usecases.rescore import RescorePool
from octospoon.usecases.rescore_walk import NewestFirst

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from contract.conftest import Stores
    from octospoon.domain.pool.images import PoolRow, Prediction
    from octospoon.ports.pool import PoolWalk

IMAGES = 60
A_DAY = 86_400.0


def put(stores: Stores, numbers: range, generation: int = 1) -> None:
    scored = [ScoredImage(image(i), prediction(i / 100, version=1, generation=generation)) for i in numbers]
    assert len(stores.scoring.insert_scores(scored)) == len(numbers)


def keys(*numbers: int) -> set[str]:
    return {image(i).key for i in numbers}


def uploaded(walk: PoolWalk, day: str, limit: int) -> list[list[str]]:
    """Go through every shard page by page."""
    pages = []
    for number in range(SHARDS):
        start: float | None = -1.0
        while start is not None:
            page, start = walk.uploaded(number, day, start, limit)
            assert [shard(key) for key in page] == [number] * len(page)
            assert len(page) <= limit
            pages.append(page)
    return pages


def outdated(walk: PoolWalk, generation: int, limit: int, before: float = 0.0, oldest: str = "") -> list[str]:
    outdated_keys = []
    for number in range(SHARDS):
        start: float | None = -1.0
        while start is not None:
            page, start = walk.outdated(number, generation, before, oldest, start, limit)
            assert len(page) <= limit
            outdated_keys += page
    return outdated_keys


def test_uploads_of_a_day_are_paged_by_sampling_key(stores: Stores) -> None:
    first = day(stores.clock.now())
    put(stores, range(IMAGES))
    stores.scoring.put_quarantine(image(99), "empty", "")
    stores.ranking.claim(pick(3), 1, 99.0)
    stores.clock.time += A_DAY
    put(stores, range(IMAGES, IMAGES + 4))
    stores.scoring.put_score(image(7, etag="new", sequencer="20"), embedded(7))

    pages = uploaded(stores.walk, first, 2)

    assert {key for page in pages for key in page} == keys(*range(IMAGES)) - keys(7)
    assert sum(map(len, pages)) == IMAGES - 1
    for page in pages:
        assert page == sorted(page, key=sampling_key)
    later = uploaded(stores.walk, day(stores.clock.now()), 100)
    assert {key for page in later for key in page} == keys(7, *range(IMAGES, IMAGES + 4))
    assert uploaded(stores.walk, "1999-01-01", 5) == [[]] * SHARDS


def test_outdated_rows_are_found_by_generation_or_also_by_time(stores: Stores) -> None:
    put(stores, range(IMAGES), generation=1)
    stores.scoring.put_score(image(98), embedded(98))
    stores.scoring.put_quarantine(image(99), "empty", "")
    stores.ranking.claim(pick(3), 1, 99.0)
    stores.clock.time += 10.0
    fresh = [image(i).key for i in range(10, 20)]
    rows = stores.pool.rows(fresh)
    stores.rescoring_pool.rescore(
        [rows[key] for key in fresh], [prediction(0.5, version=2, generation=2)] * len(fresh)
    )

    old = (keys(98, *range(IMAGES)) - keys(3)) - set(fresh)
    for limit in (1, 3, 100):
        stale = outdated(stores.walk, 2, limit)
        assert len(stale) == len(old)
        assert set(stale) == old
    assert set(outdated(stores.walk, 1, 100)) == keys(98), "a cold-start model's generation is the first"
    assert outdated(stores.walk, 0, 100) == []
    assert set(outdated(stores.walk, 1, 100, before=stores.clock.now())) == old
    assert set(outdated(stores.walk, 1, 7, before=stores.clock.now() + 1)) == old | set(fresh)


def test_what_is_outdated_may_be_asked_for_by_the_day(stores: Stores) -> None:
    put(stores, range(5))
    stores.clock.time += A_DAY
    today = day(stores.clock.now())
    put(stores, range(5, 12))

    assert set(outdated(stores.walk, 2, 100, oldest=today)) == keys(*range(5, 12))
    assert outdated(stores.walk, 1, 100, oldest=today) == []
    assert len(outdated(stores.walk, 2, 100)) == 12


class Head:
    """A head that derives both probabilities from the first coordinate of the embedding."""

    def run(self, embedding: Any) -> Any:
        return np.stack([(1 + embedding[:, 0]) / 2, (1 - embedding[:, 0]) / 2], axis=1)


def rescore_pool(
    stores: Stores, pointer: ChampionPointer, enqueue: Callable[[str], None], walk: NewestFirst
) -> RescorePool:
    reader = ReadAgain(
        stores.rescoring_pool,
        walk,
        FakeUploads(),
        stores.reading,
        lambda body, _: enqueue(body),
        stores.clock,
        0,
    )
    return RescorePool(
        stores.rescoring_pool, walk, reader, stores.rescoring, lambda: (pointer, Head()), enqueue,
        stores.clock, "margin", workers=1,
    )  # fmt: skip


def test_rescoring_reaches_all_uploads_from_newest_to_oldest(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.clock.time -= 5 * A_DAY
    arrived: dict[str, str] = {}
    for ago, numbers in ((5, range(30)), (1, range(30, 60)), (0, range(60, 90))):
        now = stores.clock.time + (5 - ago) * A_DAY
        stores.clock.time, before = now, stores.clock.time
        put(stores, numbers)
        arrived |= dict.fromkeys(keys(*numbers), day(now))
        stores.clock.time = before
    stores.clock.time += 5 * A_DAY
    pointer = ChampionPointer(2, "a", "m", BACKBONE, "h", "c", ("a", "b"), generation=2)
    queue: list[str] = []
    case = rescore_pool(stores, pointer, queue.append, NewestFirst(stores.walk, stores.clock, 2, 2, 5))
    written: list[str] = []
    rescore = stores.rescoring_pool.rescore

    def noted(rows: Sequence[PoolRow], predictions: Sequence[Prediction]) -> Any:
        written.extend(row.key for row in rows)
        return rescore(rows, predictions)

    monkeypatch.setattr(stores.rescoring_pool, "rescore", noted)
    case.champion_changed()
    while queue:
        case.segment(queue.pop(0), 0.0)

    assert len(written) == 90
    for number in range(SHARDS):
        days = [arrived[key] for key in written if shard(key) == number]
        assert days == sorted(days, reverse=True)
    assert stores.rescoring.progress() == (2, SHARDS)
    rows = stores.pool.rows(list(arrived)).values()
    assert {(row.model_version, row.generation, row.state) for row in rows} == {(2, 2, State.SCORED)}

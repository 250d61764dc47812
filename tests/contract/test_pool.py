from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from octospoon.domain.batch.draw import draw, spread
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.pool.images import ImageRef, Prediction, ScoredImage, State
from octospoon.domain.pool.keys import SHARDS, day
from octospoon.domain.pool.keys import shard as shard_of

if TYPE_CHECKING:
    from contract.conftest import Stores
    from octospoon.domain.pool.images import PoolRow

BACKBONE = "b" * 64


def image(i: int, etag: str = "e", sequencer: str = "10") -> ImageRef:
    return ImageRef(f"dir/ä {i:03d}.png", etag, sequencer, 123)


def prediction(margin: float, version: int = 1, generation: int | None = None) -> Prediction:
    probabilities = np.array([(1 + margin) / 2, (1 - margin) / 2], np.float32)
    embedding = np.full(4, margin, np.float32)
    return Prediction(
        version, BACKBONE, embedding, probabilities, version if generation is None else generation
    )


def embedded(i: int) -> Prediction:
    return Prediction(0, BACKBONE, np.full(4, i, np.float32), None)


def pick(i: int, etag: str = "e", *, audit: bool = False) -> Pick:
    return Pick(image(i).key, etag, audit, "margin", 0.5, i, 0.25 if audit else None)


def label(stores: Stores, i: int) -> None:
    """Give a chosen image its label."""
    state = stores.labels.label_state(image(i).key)
    assert state is not None
    assert stores.labels.resolve_label(state, Consensus("cat", 1.0, 1)) == 1


def test_a_row_comes_back_as_it_was_written(stores: Stores) -> None:
    assert stores.scoring.put_score(image(1), prediction(0.5))

    row = stores.pool.rows([image(1).key, "missing"])[image(1).key]
    assert (row.etag, row.state, row.model_version, row.backbone) == ("e", State.SCORED, 1, BACKBONE)
    assert row.embedding == pytest.approx(np.full(4, 0.5))
    assert row.probabilities == pytest.approx([0.75, 0.25])


def test_many_new_rows_are_batched_and_old_ones_left_alone(stores: Stores) -> None:
    stores.scoring.put_score(image(3), prediction(0.5, version=2))
    stores.scoring.put_quarantine(image(4), "empty", "")
    scored = [ScoredImage(image(i), prediction(i / 100)) for i in range(60)]

    assert stores.scoring.insert_scores(scored) == {image(i).key for i in range(60) if i not in (3, 4)}
    assert stores.scoring.insert_scores(scored) == set()

    rows = stores.pool.rows([image(i).key for i in range(60)])
    assert len(rows) == 59
    assert rows[image(3).key].model_version == 2
    assert rows[image(7).key].embedding == pytest.approx(np.full(4, 0.07), abs=1e-3)
    assert [candidate.key for candidate in stores.ranking.top(3)] == [image(i).key for i in (0, 1, 2)]


def test_score_records_its_bytes_and_its_model(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5, version=2))
    stores.scoring.put_score(image(2), embedded(2))
    stores.scoring.put_quarantine(image(3), "empty", "")

    scores = stores.scoring.scored([image(i).key for i in range(5)])

    assert {key: known[:3] for key, known in scores.items()} == {
        image(1).key: ("e", 2, BACKBONE),
        image(2).key: ("e", 0, BACKBONE),
    }
    assert stores.scoring.scored([]) == {}


def test_rows_of_cold_start_models_are_written_at_once_too(stores: Stores) -> None:
    scored = [ScoredImage(image(i), embedded(i)) for i in range(3)]

    assert len(stores.scoring.insert_scores(scored)) == 3
    assert stores.ranking.top(5) == []
    assert len(draw(stores.pool.selectable, 3, "seed").images) == 3
    assert stores.scoring.insert_scores([]) == set()


def test_top_is_by_doubt_and_then_by_key(stores: Stores) -> None:
    margins = np.linspace(0, 1, 40)
    for i in np.random.default_rng(0).permutation(40):
        stores.scoring.put_score(image(int(i)), prediction(float(margins[i])))
    for i in (41, 40):
        stores.scoring.put_score(image(i), prediction(0.0))

    top = [candidate.key for candidate in stores.ranking.top(5)]

    assert top == [image(i).key for i in (0, 40, 41, 1, 2)]
    assert len(stores.ranking.top(100)) == 42


def test_without_a_head_there_is_no_top_but_a_draw(stores: Stores) -> None:
    for i in range(30):
        stores.scoring.put_score(image(i), embedded(i))

    assert stores.ranking.top(5) == []
    drawn = draw(stores.pool.selectable, 10, "seed")
    assert len({candidate.key for candidate in drawn.images}) == 10
    assert drawn.probability(10) == pytest.approx(1 / 3)
    assert drawn == draw(stores.pool.selectable, 10, "seed")
    assert len(spread(stores.pool.selectable, 100, "seed")) == 30


def test_a_page_ends_where_it_is_told_to(stores: Stores) -> None:
    for i in range(50):
        stores.scoring.put_score(image(i), embedded(i))
    for shard in range(SHARDS):
        every, _ = stores.pool.selectable(shard, -1.0, 50)
        numbers = [candidate.sampling_key for candidate in every]
        assert numbers == sorted(numbers)
        for start, end in itertools.combinations(numbers, 2):
            page, more = stores.pool.selectable(shard, start, 50, end)
            assert [candidate.sampling_key for candidate in page] == [x for x in numbers if start < x <= end]
            assert more is None
            assert stores.pool.selectable(shard, end, 50, end) == ([], None)


def test_every_selectable_image_is_on_one_page_of_one_shard(stores: Stores) -> None:
    for i in range(50):
        stores.scoring.put_score(image(i), embedded(i))
    keys = []
    for shard in range(SHARDS):
        start: float | None = -1.0
        while start is not None:
            page, start = stores.pool.selectable(shard, start, 2)
            keys += [candidate.key for candidate in page]

    assert sorted(keys) == [image(i).key for i in range(50)]


def test_a_claimed_image_is_no_longer_selectable(stores: Stores) -> None:
    for i in range(3):
        stores.scoring.put_score(image(i), prediction(0.5))

    assert stores.ranking.claim(pick(1, audit=True), 7, 99.0)

    assert image(1).key not in [
        candidate.key for candidate in stores.ranking.top(9) + spread(stores.pool.selectable, 9, "s")
    ]
    assert stores.ranking.claim(pick(1), 7, 99.0), "the same round may claim again"
    assert not stores.ranking.claim(pick(1), 8, 99.0), "another round may not"
    assert not stores.ranking.claim(pick(2, "other bytes"), 7, 99.0)
    assert not stores.ranking.claim(pick(9), 7, 99.0), "an image that is not there"


def test_a_claimed_image_can_be_blind(stores: Stores) -> None:
    for i in range(3):
        stores.scoring.put_score(image(i), prediction(0.5))
    stores.ranking.claim(replace(pick(0), blind=True), 7, 99.0)
    stores.ranking.claim(pick(1), 7, 99.0)

    assert stores.blind.among([image(i).key for i in range(4)]) == {image(0).key}
    assert stores.blind.among([]) == set()


def test_exporting_ends_the_claim_of_that_round_only(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5))
    stores.ranking.claim(pick(1), 7, 99.0)

    stores.ranking.mark_exported(image(1).key, 6, 11)
    assert stores.pool.rows([image(1).key])[image(1).key].state is State.CLAIMED
    stores.ranking.mark_exported(image(1).key, 7, 11)
    assert stores.pool.rows([image(1).key])[image(1).key].state is State.EXPORTED


def test_a_redelivery_of_the_same_bytes_changes_no_state(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5))
    stores.ranking.claim(pick(1), 7, 99.0)

    assert stores.scoring.put_score(image(1), prediction(0.9, version=2))
    assert not stores.scoring.put_score(image(1), prediction(0.5)), "a late scorer of version 1"

    row = stores.pool.rows([image(1).key])[image(1).key]
    assert (row.state, row.model_version) == (State.CLAIMED, 2)


def test_a_newer_upload_replaces_and_an_older_event_does_not(stores: Stores) -> None:
    stores.scoring.put_score(image(1, "first", "10"), prediction(0.5))
    stores.ranking.claim(pick(1, "first"), 7, 99.0)

    assert stores.scoring.put_score(image(1, "second", "1F"), prediction(0.9))
    assert not stores.scoring.put_score(image(1, "zeroth", "0F"), prediction(0.1))

    row = stores.pool.rows([image(1).key])[image(1).key]
    assert (row.etag, row.state) == ("second", State.SCORED)


def test_the_same_bytes_under_another_etag_change_no_state(stores: Stores) -> None:
    stores.scoring.put_score(image(1, "bytes", "10"), prediction(0.5))
    stores.ranking.claim(pick(1, "bytes"), 7, 99.0)

    again = replace(image(1, "bytes", "20"), object_etag="bytes-2")
    assert stores.scoring.put_score(again, prediction(0.9, version=2))
    entry = stores.entries.entries([again.key])[again.key]
    assert (entry.etag, entry.object_etag, entry.state) == ("bytes", "bytes-2", State.CLAIMED)
    assert (entry.sequencer.rstrip("0"), entry.round_number) == ("2", 7)

    stores.scoring.note_upload(image(1, "bytes", "30"))
    stores.scoring.note_upload(replace(again, object_etag="late"))
    assert not stores.scoring.put_quarantine(replace(again, object_etag="later"), "truncated", "")

    after = stores.entries.entries([again.key])[again.key]
    assert after == replace(entry, sequencer=after.sequencer, object_etag="")
    assert after.sequencer.rstrip("0") == "3"


def test_older_upload_of_other_bytes_does_not_undo_newer_ones(stores: Stores) -> None:
    stores.scoring.put_score(image(1, "bytes", "10"), prediction(0.5))
    stores.scoring.note_upload(replace(image(1, "bytes", "20"), object_etag="bytes-2"))
    stores.scoring.note_upload(image(1, "other", "30"))
    stores.scoring.note_upload(image(2, "bytes", "30"))

    assert not stores.scoring.put_score(image(1, "other", "15"), prediction(0.9))
    assert not stores.scoring.put_quarantine(image(1, "bad", "15"), "empty", "")

    known = stores.scoring.scored([image(1).key])[image(1).key]
    assert (known.etag, known.object_etag) == ("bytes", "bytes-2")
    assert image(2).key not in stores.pool.rows([image(2).key])


def rescored(stores: Stores, rows: list[PoolRow], margin: float, version: int) -> set[str]:
    return stores.rescoring_pool.rescore(rows, [prediction(margin, version)] * len(rows))


def test_only_a_newer_model_refreshes_a_score(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5, version=2))
    row = stores.pool.rows([image(1).key])[image(1).key]

    assert rescored(stores, [row], 0.1, version=1) == set()
    assert rescored(stores, [row], 0.9, version=3) == {image(1).key}

    (top,) = stores.ranking.top(1)
    assert top.priority == pytest.approx(0.1)
    assert stores.rescoring_pool.rescore([], []) == set()


def test_older_version_decides_after_a_rollback(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5, version=2, generation=4))
    row = stores.pool.rows([image(1).key])[image(1).key]

    assert stores.rescoring_pool.rescore([row], [prediction(0.9, version=1, generation=5)]) == {image(1).key}
    assert stores.rescoring_pool.rescore([row], [prediction(0.1, version=2, generation=4)]) == set(), (
        "late work of the generation before"
    )
    assert not stores.scoring.put_score(image(1), prediction(0.1, version=2, generation=4))

    row = stores.pool.rows([image(1).key])[image(1).key]
    assert (row.model_version, row.generation) == (1, 5)


def test_of_many_rows_those_that_changed_meanwhile_are_left_alone(stores: Stores) -> None:
    keys = [image(i).key for i in range(60)]
    for i in range(60):
        stores.scoring.put_score(image(i), embedded(i))
    rows = stores.pool.rows(keys)
    stores.ranking.claim(pick(10), 1, 99.0)
    stores.scoring.put_score(image(30, "other bytes", "20"), prediction(0.2, version=1))
    stores.scoring.put_quarantine(image(31, "bad", "20"), "empty", "")
    rescored(stores, [rows[keys[59]]], 0.3, version=7)

    written = rescored(stores, list(rows.values()), 0.9, version=5)

    unchanged = {keys[i] for i in (10, 30, 31, 59)}
    assert written == set(keys) - unchanged
    after = stores.pool.rows(keys)
    assert {after[key].model_version for key in written} == {5}
    assert [after[keys[i]].model_version for i in (10, 30, 59)] == [0, 1, 7]
    assert after[keys[12]].probabilities == pytest.approx([0.95, 0.05], abs=1e-3)
    assert after[keys[12]].embedding == pytest.approx(np.full(4, 12)), "what the image gave stays"
    assert {candidate.key for candidate in stores.ranking.top(99)} == set(keys) - {keys[10], keys[31]}
    assert keys[31] not in after


def test_images_with_another_backbones_embedding_are_found_and_rescored(stores: Stores) -> None:
    for i in range(4):
        stores.scoring.put_score(image(i), prediction(0.5))
    label(stores, 3)
    assert list(stores.pool_report.of_others(BACKBONE)) == []

    stale = sorted(stores.pool_report.of_others("c" * 64), key=lambda ref: ref.key)
    assert [(ref.key, ref.etag, ref.size) for ref in stale] == [(image(i).key, "e", 123) for i in range(3)]

    fresh = replace(prediction(0.7, version=1, generation=2), backbone="c" * 64)
    assert stores.scoring.insert_scores([ScoredImage(stale[0], fresh)]) == set()
    assert stores.scoring.put_score(stale[0], fresh)
    assert {ref.key for ref in stores.pool_report.of_others("c" * 64)} == {image(1).key, image(2).key}
    assert stores.pool.rows([image(0).key])[image(0).key].embedding == pytest.approx(
        np.full(4, 0.7), abs=1e-3
    )


def test_newest_uploads_of_another_backbone_come_first(stores: Stores) -> None:
    for i in range(6):
        stores.scoring.put_score(image(i), prediction(0.5))
        stores.clock.time += 24 * 3600.0
    stale = [ref.key for ref in stores.pool_report.of_others("c" * 64)]
    assert stale == [image(i).key for i in reversed(range(6))]


def test_boxes_of_an_earlier_detector_are_of_others(stores: Stores) -> None:
    for i in range(5):
        stores.scoring.put_score(image(i), prediction(0.5, version=i, generation=i))
        stores.clock.time += 24 * 3600.0
    stores.ranking.claim(pick(1), 1, 99.0)
    label(stores, 4)
    stores.scoring.put_quarantine(image(9), "empty", "")

    def outdated(backbone: str, generation: int = 0) -> list[str]:
        return [ref.key for ref in stores.pool_report.of_others(backbone, generation)]

    assert outdated(BACKBONE, 3) == [image(i).key for i in (2, 1, 0)], "with the one that waits for an answer"
    assert outdated(BACKBONE) == [], "embeddings of this backbone stay valid"
    assert outdated("c" * 64, 3) == [image(i).key for i in (3, 2, 1, 0)]


def test_what_is_of_others_is_what_is_read_again(stores: Stores) -> None:
    """The report states the rule for DynamoDB, and reading images again states it in Python."""
    for i, (backbone, generation) in enumerate(itertools.product((BACKBONE, "c" * 64), (1, 2, 3))):
        for j in range(4):
            at = 10 * i + j
            scored = replace(prediction(0.5, generation=generation), backbone=backbone)
            stores.scoring.put_score(image(at), scored)
            if j:
                stores.ranking.claim(pick(at), 1, 99.0)
            if j > 1:
                stores.ranking.mark_exported(image(at).key, 1, at + 1)
            if j > 2:
                label(stores, at)
    keys = [image(10 * i + j).key for i in range(6) for j in range(4)]
    known = stores.rescoring_pool.unlabelled_images(keys)
    assert len(known) == 18, "all but those with a label"

    sizes = set()
    for backbone, generation in itertools.product((BACKBONE, "c" * 64, "d" * 64), (0, 1, 2, 3, 4)):
        read = {each.image.key for each in known if each.outdated(backbone, generation)}
        assert {ref.key for ref in stores.pool_report.of_others(backbone, generation)} == read
        sizes.add(len(read))
    assert sizes == {9, 12, 15, 18}


def test_score_of_an_unlabelled_image_is_refreshed(stores: Stores) -> None:
    for i in range(5):
        stores.scoring.put_score(image(i), prediction(0.2, version=2, generation=2))
    for i in (1, 3, 4):
        stores.ranking.claim(pick(i), 1, 99.0)
    stores.ranking.mark_exported(image(3).key, 1, 7)
    label(stores, 4)
    fresh = replace(prediction(0.9, version=3, generation=3), backbone="c" * 64)

    for i in (0, 1, 3):
        assert stores.scoring.refresh_score(image(i), fresh)
    assert not stores.scoring.refresh_score(image(4), fresh), "it has a label"
    assert not stores.scoring.refresh_score(image(2, etag="other"), fresh)
    assert not stores.scoring.refresh_score(image(9), fresh)
    for i in (0, 3):
        assert not stores.scoring.refresh_score(image(i), prediction(0.1, version=2, generation=2)), "earlier"

    rows = stores.pool.rows([image(i).key for i in range(5)])
    assert [row.generation for row in (rows[image(i).key] for i in range(5))] == [3, 3, 2, 3, 2]
    assert rows[image(3).key].backbone == "c" * 64
    assert rows[image(3).key].state is State.EXPORTED
    assert [top.key for top in stores.ranking.top(9)] == [image(2).key, image(0).key], "by margin"


def test_a_chosen_image_is_selectable_by_its_new_score(stores: Stores) -> None:
    stores.scoring.put_score(image(0), replace(prediction(0.2), probabilities=None))
    stores.ranking.claim(pick(0), 1, 99.0)
    (entry,) = stores.entries.entries([image(0).key]).values()
    assert stores.scoring.put_score(image(0), prediction(0.4, version=2, generation=2))
    assert stores.ranking.top(9) == []
    assert list(stores.walk.outdated(shard_of(image(0).key), 9, 0.0, "", -1.0, 10)[0]) == []

    assert stores.entries.release(entry)
    assert [top.key for top in stores.ranking.top(9)] == [image(0).key]


def test_unlabelled_images_come_as_uploads_with_their_models(stores: Stores) -> None:
    for i in range(5):
        stores.scoring.put_score(image(i), prediction(0.5, version=2, generation=i))
    stores.scoring.note_upload(replace(image(2, sequencer="77"), object_etag="e-2"))
    stores.ranking.claim(pick(1), 1, 99.0)
    stores.ranking.claim(pick(4), 1, 99.0)
    label(stores, 4)
    stores.scoring.put_quarantine(image(9), "empty", "")

    images = stores.rescoring_pool.unlabelled_images([image(i).key for i in (3, 2, 9, 1, 8, 4)])

    assert [(known.image.key, known.backbone, known.generation) for known in images] == [
        (image(i).key, BACKBONE, i) for i in (3, 2, 1)
    ]
    assert (images[1].image.etag, images[1].image.size, images[1].image.object_etag) == ("e", 123, "e-2")
    assert images[1].image.sequencer.rstrip("0") == "77"
    assert stores.rescoring_pool.unlabelled_images([]) == []


def test_labelled_image_gets_another_backbones_embedding_alone(stores: Stores) -> None:
    for i in range(4):
        stores.scoring.put_score(image(i), prediction(0.5))
        if i:
            stores.ranking.claim(pick(i), 1, 99.0)
            stores.ranking.mark_exported(image(i).key, 1, i)
            label(stores, i)
    stores.scoring.put_score(image(3, "other bytes", "20"), prediction(0.5))
    before = stores.pool.rows([image(i).key for i in range(4)])
    fresh = [
        replace(row, backbone="c" * 64, embedding=np.full(4, 7.0, np.float32)) for row in before.values()
    ]
    fresh[3] = replace(fresh[3], etag="e")

    written = stores.training_pool.reembed(fresh)

    assert written == {image(1).key, image(2).key}
    after = stores.pool.rows(list(before))
    assert {key for key, row in after.items() if row.backbone == "c" * 64} == written
    assert after[image(1).key].embedding == pytest.approx(np.full(4, 7))
    assert after[image(1).key].probabilities == pytest.approx(before[image(1).key].probabilities)
    assert after[image(1).key].state is State.LABELLED
    not_ours = {ref.key for ref in stores.pool_report.of_others("c" * 64)}
    assert not_ours == {image(0).key, image(3).key}, "selectable images wait for a score of their own"


def test_quarantine_keeps_the_reason_and_ends_with_a_good_upload(stores: Stores) -> None:
    assert stores.scoring.put_quarantine(image(1, "bad"), "truncated", "cut off at byte 100")

    assert stores.pool_report.quarantined(5) == [(image(1).key, "truncated", "cut off at byte 100")]
    assert stores.pool.rows([image(1).key]) == {}
    assert stores.scoring.put_score(image(1, "good", "20"), prediction(0.5))
    assert stores.pool_report.quarantined(5) == []


def test_an_old_bad_event_does_not_quarantine_a_good_image(stores: Stores) -> None:
    stores.scoring.put_score(image(1, "good", "20"), prediction(0.5))

    assert not stores.scoring.put_quarantine(image(1, "bad", "10"), "truncated", "")
    assert stores.pool_report.quarantined(5) == []


def test_uploads_of_a_day_are_found_in_any_state(stores: Stores) -> None:
    today = day(stores.clock.now())
    for i in range(40):
        stores.scoring.put_score(image(i), prediction(0.5))
    stores.scoring.put_quarantine(image(40), "empty", "")
    stores.clock.time += 24 * 3600
    for i in range(41, 44):
        stores.scoring.put_score(image(i), prediction(0.5))
    stores.scoring.put_score(image(2, sequencer="20"), prediction(0.5))  # the same bytes again
    stores.scoring.put_score(image(3, "other bytes", "20"), prediction(0.5))
    stores.ranking.claim(pick(1), 1, 99.0)
    rescored(stores, list(stores.pool.rows([image(4).key]).values()), 0.9, version=2)

    first = stores.watching.arrived(today, 100)

    assert sorted(first) == [image(i).key for i in range(40) if i != 3]
    following = sorted(stores.watching.arrived(day(stores.clock.now()), 100))
    assert following == [image(i).key for i in (3, 41, 42, 43)]
    some = stores.watching.arrived(today, 16)
    assert len(some) <= 16
    assert set(some) <= set(first)
    assert stores.watching.arrived("1999-01-01", 9) == []


def test_counts_name_every_state(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5))
    stores.scoring.put_score(image(2), prediction(0.5))
    stores.ranking.claim(pick(2), 1, 99.0)
    stores.scoring.put_quarantine(image(3), "empty", "")

    counts = stores.pool_report.counts()

    assert set(counts) == set(State)
    assert (counts[State.SCORED], counts[State.CLAIMED], counts[State.QUARANTINED]) == (1, 1, 1)

from __future__ import annotations

import threading
import traceback
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.images import FakeImages
from fakes.pool import FakePool, Row

from octospoon.domain.errors import BadImage, BadModel, ServiceUnavailable
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.pool import keys as hashes
from octospoon.domain.pool.framing import Framed
from octospoon.domain.pool.images import ImageBytes, ImageRef, Prediction, ScoredImage, State
from octospoon.usecases.score import ScoreUploads
from octospoon.usecases.scoring.outcomes import Outcome
from octospoon.usecases.scoring.pipeline import SPARE_SECONDS
from octospoon.usecases.scoring.rows import ROWS_A_CALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.pool.framing import Region


class ByteScorer:
    """A scorer whose tensor is the data's first byte; 0 cannot be decoded."""

    spec = ModelSpec((), 1, 1, 1, "squash", "b" * 64, 3)
    generation = 3

    def preprocess(self, data: bytes) -> Framed:
        if data[0] == 0:
            raise BadImage("truncated", "cut off")
        return Framed(np.full((1, 1, 3), data[0], np.uint8))

    def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
        return [Prediction(3, "b" * 64, np.array([image.mean()], np.float32), None, 3) for image in images]


class NewerScorer(ByteScorer):
    spec = ModelSpec((), 1, 1, 1, "squash", "b" * 64, 4)
    generation = 4

    def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
        return [Prediction(4, "b" * 64, np.array([image.mean()], np.float32), None, 4) for image in images]


class FullPool(FakePool):
    """Refuses to insert many rows at once, as if they existed. Rows are then written one by one."""

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        return set()


def upload(key: str, sequencer: str = "1") -> ImageRef:
    return ImageRef(key, "from-event", sequencer, 1)


def test_each_upload_has_its_own_outcome() -> None:
    images = FakeImages({"good": (b"\x07", "e1"), "bad": (b"\x00", "e2")})
    pool = FakePool()
    score = ScoreUploads(images, pool, ByteScorer, resolve_label=lambda _: None, workers=4)

    outcomes = score([upload("good"), upload("bad"), upload("gone"), upload("good")])

    assert outcomes[:3] == [Outcome.SCORED, Outcome.QUARANTINED, Outcome.QUARANTINED]
    assert pool.table["good"].state is State.SCORED
    assert pool.table["good"].etag == "e1"
    assert (pool.table["bad"].reason, pool.table["gone"].reason) == ("truncated", "gone")


def test_a_failure_of_one_image_leaves_its_neighbours_alone() -> None:
    class Flaky(FakeImages):
        def read(self, key: str) -> ImageBytes:
            if key == "flaky":
                raise ServiceUnavailable("S3 is slow")
            return ImageBytes(b"\x01", "e")

    pool = FakePool()
    outcomes = ScoreUploads(Flaky(), pool, ByteScorer, resolve_label=lambda _: None, workers=2)(
        [upload("a"), upload("flaky"), upload("b")]
    )

    assert outcomes[0] == outcomes[2] == Outcome.SCORED
    assert isinstance(outcomes[1], ServiceUnavailable)
    assert set(pool.table) == {"a", "b"}


def test_largest_upload_is_read_first_and_keeps_its_answer() -> None:
    class Ordered(FakeImages):
        def read(self, key: str) -> ImageBytes:
            order.append(key)
            return super().read(key)

    order: list[str] = []
    images = Ordered({"small": (b"\x01", "e"), "large": (b"\x02", "e"), "middle": (b"\x00", "e")})
    sizes = {"small": 10, "gone": 15, "large": 30, "middle": 20}
    uploads = [ImageRef(key, "from-event", "1", size) for key, size in sizes.items()]

    outcomes = ScoreUploads(
        images, FakePool(), ByteScorer, resolve_label=lambda _: None, workers=1, downloads=1
    )(uploads)

    assert order == ["large", "middle", "gone", "small"]
    assert outcomes == [Outcome.SCORED, Outcome.QUARANTINED, Outcome.SCORED, Outcome.QUARANTINED]


def test_without_a_model_nothing_is_lost() -> None:
    def none_yet() -> ByteScorer:
        raise ServiceUnavailable("no model")

    (outcome,) = ScoreUploads(
        FakeImages({"a": (b"\x01", "e")}), FakePool(), none_yet, resolve_label=lambda _: None, workers=1
    )([upload("a")])

    assert isinstance(outcome, ServiceUnavailable)


def test_an_older_event_does_not_undo_a_newer_one() -> None:
    pool, images = FakePool(), FakeImages({"a": (b"\x02", "new")})
    score = ScoreUploads(images, pool, ByteScorer, resolve_label=lambda _: None, workers=1)
    score([upload("a", "2")])
    images.objects["a"] = (b"\x01", "old")

    assert score([upload("a", "1")]) == [Outcome.STALE]
    assert pool.table["a"].etag == "new"


class CountingImages(FakeImages):
    """Counts the bytes that were read and not yet scored, and the reads of each key."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.held = self.most = 0
        self.reads: Counter[str] = Counter()
        self.lock = threading.Lock()

    def read(self, key: str) -> ImageBytes:
        with self.lock:
            self.reads[key] += 1
            self.held += self.size
            self.most = max(self.most, self.held)
        return ImageBytes(bytes([int(key)]) * self.size, f"etag of {key}")

    def scorer(self) -> ByteScorer:
        counted = self

        class Releasing(ByteScorer):
            def predict(
                self, images: np.ndarray, regions: Sequence[Region] | None = None
            ) -> list[Prediction]:
                with counted.lock:
                    counted.held -= counted.size
                return super().predict(images)

        return Releasing()


def numbered(n: int, size: int) -> list[ImageRef]:
    return [ImageRef(str(number), "from-event", "1", size) for number in range(1, n + 1)]


@pytest.mark.parametrize(("limit", "at_once"), [(300, 3), (350, 3), (1, 1)])
def test_bytes_in_flight_are_bounded_and_large_images_pass_alone(limit: int, at_once: int) -> None:
    images, pool = CountingImages(100), FakePool()
    score = ScoreUploads(
        images, pool, images.scorer, resolve_label=lambda _: None, workers=2, downloads=8, max_bytes=limit
    )

    assert score(numbered(60, 100)) == [Outcome.SCORED] * 60
    assert len(pool.table) == 60
    assert 100 <= images.most <= at_once * 100


def test_failed_read_or_bad_image_releases_its_bytes() -> None:
    class Failing(CountingImages):
        def read(self, key: str) -> ImageBytes:
            if int(key) % 3 == 0:
                raise ServiceUnavailable("S3 is slow")
            if int(key) % 3 == 1:
                raise BadImage("gone", "deleted")
            return ImageBytes(b"\x00" * 100, "e")

    images = Failing(100)
    score = ScoreUploads(
        images, FakePool(), ByteScorer, resolve_label=lambda _: None, workers=1, downloads=4, max_bytes=100
    )

    outcomes = score(numbered(30, 100))

    assert sum(outcome is Outcome.QUARANTINED for outcome in outcomes) == 20
    assert sum(isinstance(outcome, ServiceUnavailable) for outcome in outcomes) == 10


def test_outcomes_are_in_upload_order_whichever_ends_first() -> None:
    second_written = threading.Event()

    class Reversing(FullPool):
        def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
            if image.key == "1":
                assert second_written.wait(10)
                return False
            second_written.set()
            return super().put_score(image, prediction)

    images = CountingImages(1)
    outcomes = ScoreUploads(images, Reversing(), images.scorer, resolve_label=lambda _: None, workers=1)(
        numbered(2, 1)
    )

    assert outcomes == [Outcome.STALE, Outcome.SCORED]


def test_a_waiting_write_keeps_no_decoder_waiting() -> None:
    images, predicted = CountingImages(1), threading.Event()
    last = ROWS_A_CALL + 1

    class Waiting(FakePool):
        def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
            assert predicted.wait(10)
            return super().insert_scores(scored)

    class Announcing(ByteScorer):
        def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
            if images.max() == last:
                predicted.set()
            return super().predict(images)

    outcomes = ScoreUploads(
        images, Waiting(), Announcing, resolve_label=lambda _: None, workers=1, downloads=1
    )(numbered(last, 1))

    assert outcomes == [Outcome.SCORED] * last


def test_new_rows_are_batched_and_others_written_singly() -> None:
    calls: list[int] = []
    alone: list[str] = []

    class Counting(FakePool):
        def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
            calls.append(len(scored))
            return super().insert_scores(scored)

        def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
            alone.append(image.key)
            return super().put_score(image, prediction)

    images, pool = CountingImages(1), Counting()
    pool.table["7"] = Row("older", "0", State.SCORED)

    assert (
        ScoreUploads(images, pool, images.scorer, resolve_label=lambda _: None, workers=2)(numbered(60, 1))
        == [Outcome.SCORED] * 60
    )
    assert calls == [25, 25, 10]
    assert alone == ["7"]
    assert pool.table["7"].etag == "etag of 7"


def test_failed_call_leaves_only_its_own_rows_to_the_queue() -> None:
    class FirstCallFails(FakePool):
        failed = 0

        def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
            if not self.failed:
                self.failed = len(scored)
                raise ServiceUnavailable("throttled")
            return super().insert_scores(scored)

    images, pool = CountingImages(1), FirstCallFails()
    outcomes = ScoreUploads(images, pool, images.scorer, resolve_label=lambda _: None, workers=2)(
        numbered(60, 1)
    )

    assert sum(isinstance(outcome, ServiceUnavailable) for outcome in outcomes) == ROWS_A_CALL
    assert sum(outcome is Outcome.SCORED for outcome in outcomes) == 60 - ROWS_A_CALL == len(pool.table)


def test_a_failed_write_is_that_images_alone() -> None:
    class Throttled(FullPool):
        def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
            if image.key == "2":
                raise ServiceUnavailable("throttled")
            return super().put_score(image, prediction)

    images = CountingImages(1)
    first, second, third = ScoreUploads(
        images, Throttled(), images.scorer, resolve_label=lambda _: None, workers=2
    )(numbered(3, 1))

    assert (first, third) == (Outcome.SCORED, Outcome.SCORED)
    assert isinstance(second, ServiceUnavailable)


def test_newest_upload_of_a_key_is_read_once_others_stale() -> None:
    images, pool = CountingImages(1), FakePool()
    uploads = [upload("1", "03"), upload("1", "1"), upload("2"), upload("1", "02"), upload("1", "1")]

    outcomes = ScoreUploads(images, pool, images.scorer, resolve_label=lambda _: None, workers=2)(uploads)

    stale, scored = Outcome.STALE, Outcome.SCORED
    assert outcomes == [stale, scored, scored, stale, scored]
    assert images.reads == {"1": 1, "2": 1}
    assert pool.table["1"].sequencer == "1"


def test_bytes_that_this_model_has_scored_are_not_predicted_again() -> None:
    images, pool = FakeImages({"a": (b"\x07", "e1"), "b": (b"\x08", "e2")}), FakePool()
    predicted: list[int] = []

    class Counting(ByteScorer):
        def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
            predicted.append(int(images[0, 0, 0, 0]))
            return super().predict(images)

    score = ScoreUploads(images, pool, Counting, resolve_label=lambda _: None, workers=2)
    assert score([upload("a"), upload("b")]) == [Outcome.SCORED] * 2
    images.objects["b"] = (b"\x09", "e3")
    assert score([upload("a"), upload("b", "2")]) == [Outcome.KNOWN, Outcome.SCORED]
    assert sorted(predicted) == [7, 8, 9]

    newer = ScoreUploads(images, pool, NewerScorer, resolve_label=lambda _: None, workers=2)
    assert newer([upload("a")]) == [Outcome.SCORED]
    assert score([upload("a")]) == [Outcome.KNOWN], "a newer model's score is the better one"


class WritingPool(FakePool):
    """Names every write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        self.writes.append("insert")
        return super().insert_scores(scored)

    def refresh_score(self, image: ImageRef, prediction: Prediction) -> bool:
        self.writes.append("refresh")
        return super().refresh_score(image, prediction)

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        self.writes.append("put")
        return super().put_score(image, prediction)


def test_image_that_is_read_again_takes_one_write() -> None:
    images, pool = FakeImages({"a": (b"\x01", "e"), "b": (b"\x02", "e")}), WritingPool()
    models: list[type[ByteScorer]] = [ByteScorer]
    score = ScoreUploads(images, pool, lambda: models[-1](), resolve_label=lambda _: None, workers=1)
    score([upload("a"), upload("b")])
    pool.writes.clear()
    models.append(NewerScorer)

    assert score([upload("a")]) == [Outcome.SCORED]
    assert pool.writes == ["refresh"]
    assert pool.scored(["a"])["a"].generation == 4

    assert score([upload("b", "2")]) == [Outcome.SCORED]
    assert pool.writes == ["refresh", "insert", "put"], "a newer upload is also recorded"
    pool.claim(Pick("a", "e", False, "margin", None, 0, None), 1, 9.0)
    models[-1].generation = 5
    assert score([upload("a")]) == [Outcome.SCORED]
    assert (pool.writes[-1], pool.table["a"].state) == ("refresh", State.CLAIMED)
    pool.table["a"].state = State.LABELLED
    models[-1].generation = 6
    assert score([upload("a")]) == [Outcome.STALE]
    assert pool.writes[-2:] == ["refresh", "put"]
    models[-1].generation = 4


def test_same_bytes_under_another_etag_are_known_and_recorded() -> None:
    images, pool = FakeImages({"a": (b"\x07", "md5")}), FakePool()
    score = ScoreUploads(images, pool, ByteScorer, resolve_label=lambda _: None, workers=2)
    assert score([upload("a", "1")]) == [Outcome.SCORED]
    noted: list[ImageRef] = []
    note = pool.note_upload
    pool.note_upload = lambda image: (noted.append(image), note(image))

    images.objects["a"] = (b"\x07", "md5", "md5-2")
    assert score([upload("a", "20")]) == [Outcome.KNOWN]
    assert score([upload("a", "20")]) == [Outcome.KNOWN]
    assert [(image.etag, image.object_etag, image.sequencer) for image in noted] == [("md5", "md5-2", "20")]

    images.objects["a"] = (b"\x08", "older bytes")
    assert score([upload("a", "15")]) == [Outcome.STALE], "read before the newer upload, written after it"
    assert (pool.table["a"].etag, pool.table["a"].sequencer) == ("md5", "20")


def test_label_is_resolved_when_the_bytes_change() -> None:
    images, pool = FakeImages({"a": (b"\x07", "first"), "b": (b"\x07", "other")}), FakePool()
    settled: list[str] = []

    def score(scorer: type[ByteScorer], sequencer: str) -> list[Outcome | Exception]:
        use = ScoreUploads(images, pool, scorer, resolve_label=settled.append, workers=1)
        return use([upload("a", sequencer), upload("b", sequencer)])

    assert score(ByteScorer, "1") == [Outcome.SCORED] * 2
    assert score(NewerScorer, "2") == [Outcome.SCORED] * 2
    assert settled == [], "new images, and the same bytes by a newer model"
    images.objects["a"] = (b"\x08", "second")
    assert score(NewerScorer, "3") == [Outcome.SCORED, Outcome.KNOWN]
    assert settled == ["a"]


def test_key_that_label_studio_cannot_show_is_quarantined_unread() -> None:
    images, pool = CountingImages(1), FakePool()
    outcomes = ScoreUploads(images, pool, ByteScorer, resolve_label=lambda _: None, workers=1)(
        [upload("photo?"), upload("/1"), upload("1")]
    )

    assert outcomes == [Outcome.QUARANTINED, Outcome.QUARANTINED, Outcome.SCORED]
    assert {pool.table[key].reason for key in ("photo?", "/1")} == {"key-not-shown"}
    assert images.reads == {"1": 1}
    assert [row.key for row in pool.selectable(hashes.shard("1"), -1.0, 9)[0]] == ["1"]


def test_a_folders_marker_is_no_image() -> None:
    names = ["folder/", "a/_$folder$", "/"]
    images, pool = FakeImages(dict.fromkeys(names, (b"", "e"))), FakePool()
    images.objects["image/"] = (b"\x07", "e1")
    uploads = [ImageRef(name, "e", "1", 0) for name in [*names, "image/"]]

    outcomes = ScoreUploads(images, pool, ByteScorer, resolve_label=lambda _: None, workers=2)(uploads)

    assert outcomes == [Outcome.FOLDER] * 3 + [Outcome.SCORED]
    assert set(pool.table) == {"image/"}


def test_row_of_unreadable_bytes_knows_their_identity() -> None:
    images, pool = FakeImages({"a": (b"\x07", "md5", "md5-2")}), FakePool()
    score = ScoreUploads(images, pool, ByteScorer, resolve_label=lambda _: None, workers=1)
    score([upload("a")])
    pool.table["a"].state, pool.table["a"].label = State.LABELLED, "cat"
    images.objects.clear()

    assert score([ImageRef("a", "md5-2", "2", 1)]) == [Outcome.STALE]
    assert (pool.table["a"].state, pool.table["a"].label) == (State.LABELLED, "cat")
    assert score([ImageRef("a", "other", "3", 1)]) == [Outcome.QUARANTINED]


def test_a_row_that_is_older_than_checksums_keeps_its_identity() -> None:
    images, pool = FakeImages({"a": (b"\x07", "md5", "parts-2")}), FakePool()
    pool.put_score(ImageRef("a", "parts-2", "1", 1), ByteScorer().predict(np.ones((1, 1, 1, 3)))[0])
    pool.table["a"].state, pool.table["a"].label = State.LABELLED, "cat"
    identities: list[str] = []

    outcomes = ScoreUploads(images, pool, NewerScorer, resolve_label=lambda _: None, workers=1)(
        [upload("a", "2")], identified=lambda image: identities.append(image.etag)
    )

    assert (outcomes, identities) == ([Outcome.STALE], ["parts-2"])
    assert (pool.table["a"].etag, pool.table["a"].label) == ("parts-2", "cat")


def test_where_nobody_can_say_what_is_known_everything_is_scored() -> None:
    class Forgetful(FakePool):
        def scored(self, keys: Sequence[str]) -> dict[str, tuple[str, int]]:  # type: ignore[override]
            raise ServiceUnavailable("the table is slow")

    images = FakeImages({"a": (b"\x07", "e1")})
    score = ScoreUploads(images, Forgetful(), ByteScorer, resolve_label=lambda _: None, workers=2)
    assert [score([upload("a")]) for _ in range(2)] == [[Outcome.SCORED], [Outcome.SCORED]]


def test_uploads_of_one_key_fail_together() -> None:
    class Down(FakeImages):
        def read(self, key: str) -> ImageBytes:
            raise ServiceUnavailable("S3 is slow")

    outcomes = ScoreUploads(Down(), FakePool(), ByteScorer, resolve_label=lambda _: None, workers=1)(
        [upload("a", "1"), upload("a", "2")]
    )

    assert all(isinstance(outcome, ServiceUnavailable) for outcome in outcomes)


class Choosy(ByteScorer):
    """Fails on images of one value, at most `times` times."""

    def __init__(self, value: int, times: int = 1000) -> None:
        self.value, self.times = value, times

    def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
        if self.value in images and self.times:
            self.times -= 1
            raise BadModel("the model's embedding is not finite float32")
        return super().predict(images)


def test_image_that_a_sound_model_cannot_score_is_quarantined() -> None:
    pool = FakePool()
    outcomes = ScoreUploads(
        CountingImages(1), pool, lambda: Choosy(2), resolve_label=lambda _: None, workers=1
    )(numbered(3, 1))

    assert outcomes == [Outcome.SCORED, Outcome.QUARANTINED, Outcome.SCORED]
    row = pool.table["2"]
    assert (row.reason, row.etag) == ("model-output", "etag of 2")
    assert "not finite" in row.detail


def test_a_model_that_failed_once_is_asked_again() -> None:
    pool, scorer = FakePool(), Choosy(2, times=1)

    assert ScoreUploads(CountingImages(1), pool, lambda: scorer, resolve_label=lambda _: None, workers=1)(
        numbered(2, 1)
    ) == [
        Outcome.SCORED,
        Outcome.SCORED,
    ]


def test_model_that_fails_on_a_blank_image_returns_its_uploads() -> None:
    class Broken(ByteScorer):
        def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
            raise BadModel("the model's embedding is not finite float32")

    pool = FakePool()
    outcomes = ScoreUploads(CountingImages(1), pool, Broken, resolve_label=lambda _: None, workers=2)(
        numbered(3, 1)
    )

    assert all(isinstance(outcome, BadModel) for outcome in outcomes)
    assert not pool.table


def test_a_failure_holds_no_image() -> None:
    class Holding(ByteScorer):
        def preprocess(self, data: bytes) -> Framed:
            raise RuntimeError("a bug")

    (failure,) = ScoreUploads(
        CountingImages(5000), FakePool(), Holding, resolve_label=lambda _: None, workers=1
    )(numbered(1, 5000))

    assert isinstance(failure, RuntimeError)
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(failure.__traceback__)]
    assert not [value for variables in frames for value in variables.values() if isinstance(value, bytes)]


def test_unfinished_messages_return_and_the_rest_is_written() -> None:
    images, pool = CountingImages(1), FakePool()
    remaining = iter([60.0] * 7 + [SPARE_SECONDS - 1] * 100)

    outcomes = ScoreUploads(
        images, pool, images.scorer, resolve_label=lambda _: None, workers=1, downloads=1
    )(numbered(20, 1), lambda: next(remaining))

    scored = [outcome for outcome in outcomes if outcome is Outcome.SCORED]
    late = [outcome for outcome in outcomes if isinstance(outcome, ServiceUnavailable)]
    assert len(scored) + len(late) == 20
    assert 1 <= len(scored) == len(pool.table) <= 6
    assert "no time" in str(late[0])
    assert images.reads.total() <= 7


def test_an_empty_batch_is_nothing() -> None:
    assert (
        ScoreUploads(FakeImages(), FakePool(), ByteScorer, resolve_label=lambda _: None, workers=1)([]) == []
    )

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from octospoon.domain.labelling.blinding import audit_rule, blinded, interleaved
from octospoon.domain.labelling.tasks import LabelledImage, Pick

sizes = st.integers(0, 40)


def batch(audit: int, control: int, drift: int, strategy: int, seed: str = "s") -> list[Pick]:
    counts = {"audit": audit, "control": control, "drift": drift, "margin": strategy}
    return [
        Pick(
            f"{seed}-{share}-{i}",
            "e",
            share == "audit",
            "random" if share in ("audit", "control") else share,
            None,
            0,
            0.01 if share in ("audit", "control") else None,
        )
        for share, n in counts.items()
        for i in range(n)
    ]


def share_of(pick: Pick) -> str:
    return pick.key.split("-")[-2]


@given(sizes, sizes, sizes, sizes, st.text(max_size=3))
def test_every_beginning_of_a_batch_holds_every_share_in_proportion(
    audit: int, control: int, drift: int, strategy: int, seed: str
) -> None:
    picks = blinded(batch(audit, control, drift, strategy), seed)
    whole, kinds = Counter(map(share_of, picks)), Counter((share_of(pick), pick.blind) for pick in picks)

    order = interleaved(picks, seed)

    assert sorted(pick.key for pick in order) == sorted(pick.key for pick in picks)
    counts: Counter[str] = Counter()
    for n, pick in enumerate(order, 1):
        counts[share_of(pick)] += 1
        for share, size in whole.items():
            # the blind and the other part of a share are each within one of their part
            bound = 2 + len(kinds) * size / len(picks)
            assert abs(counts[share] - n * size / len(picks)) <= bound


@given(sizes, sizes, sizes, sizes, st.text(max_size=3))
def test_as_many_others_go_without_a_prediction_as_are_drawn(
    audit: int, control: int, drift: int, strategy: int, seed: str
) -> None:
    picks = blinded(batch(audit, control, drift, strategy), seed)

    blind = Counter(share_of(pick) in ("audit", "control") for pick in picks if pick.blind)

    assert blind[True] == audit + control, "every drawn image"
    assert blind[False] == min(audit + control, drift + strategy)


def test_place_and_neighbours_do_not_reveal_an_audit_image() -> None:
    """Over many rounds, an image without a prediction is as often one of the audit share at every place."""
    places, audits = Counter[int](), Counter[int]()
    for number in range(2000):
        seed = f"round-{number}"
        for place, pick in enumerate(interleaved(blinded(batch(4, 0, 0, 16, seed), seed), seed)):
            if pick.blind:
                places[place] += 1
                audits[place] += pick.audit

    for place, times in places.items():
        share = audits[place] / times
        assert abs(share - 0.5) < 5 * (0.25 / times) ** 0.5, (place, share)


def test_which_images_go_without_is_the_same_for_whoever_resumes() -> None:
    picks = batch(10, 5, 5, 30)

    assert blinded(picks, "round-1") == blinded(picks, "round-1")
    assert blinded(picks, "round-1") != blinded(picks, "round-2")
    assert interleaved(picks, "round-1") == interleaved(picks[::-1], "round-1")


def test_the_rule_of_the_audit_labels_is_named() -> None:
    def image(*, audit: bool, blind: bool) -> LabelledImage:
        return LabelledImage("k", "e", "cat", 1.0, 1, audit, "random", None, 1, blind=blind)

    hidden, shown = image(audit=True, blind=True), image(audit=True, blind=False)
    assert audit_rule([image(audit=False, blind=True)]) == ""
    assert audit_rule([hidden, hidden, image(audit=False, blind=False)]) == "hidden"
    assert audit_rule([shown]) == "shown"
    assert audit_rule([hidden, shown, shown]) == "hidden for 1 of 3 audit labels, shown for the others"

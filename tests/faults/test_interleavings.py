"""The invariants hold in random interleavings of all operations, over the in-memory ports."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
from faults.world import World
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from octospoon.domain.pool.images import ImageRef

STEPS = int(os.environ.get("OCTOSPOON_FAULT_STEPS", "3000"))
PER_RUN = 100
KEYS = [f"{i}.png" for i in range(7)]
keys = st.sampled_from(KEYS)
picks = st.integers(0, 30)
kinds = st.sampled_from(["die", "die", "refuse", "rank", "collect", "reconcile", "write"])
plans = st.dictionaries(st.integers(1, 25), kinds, max_size=2)
seldom = st.sampled_from([False, False, False, True])

DONE: Counter[str] = Counter()


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        for key in KEYS[:5]:  # a world with a history
            self.world.upload(key, good=True, lost=False)
        self.world.recover()
        self.world.rank()

    # -- images ---------------------------------------------------------------------------------

    @rule(key=keys, good=st.sampled_from([True, True, True, False]), lost=seldom)
    def upload(self, key: str, good: bool, lost: bool) -> None:
        self.world.upload(key, good=good, lost=lost)

    @rule(key=keys)
    def replace(self, key: str) -> None:
        self.world.upload(key, good=True, lost=True)
        stored = self.world.bucket.objects[key]
        self.world.read(ImageRef(key, stored.etag, f"{self.world.sequence:08X}", 1))
        self.world.write(*self.world.reading.pop())

    @rule(key=keys, lost=seldom)
    def copy_in_place(self, key: str, lost: bool) -> None:
        self.world.copy_in_place(key, lost=lost)

    @rule(key=keys, which=picks, lost=seldom)
    def restore(self, key: str, which: int, lost: bool) -> None:
        self.world.restore(key, which, lost=lost)

    @rule(which=picks, again=seldom)
    def read(self, which: int, again: bool) -> None:
        if event := self._take(self.world.events, which, keep=again):
            self.world.read(event)

    @rule(which=picks, again=seldom)
    def write(self, which: int, again: bool) -> None:
        if reading := self._take(self.world.reading, which, keep=again):
            self.world.write(*reading)

    @rule(key=keys, really=seldom)
    def remove_object(self, key: str, really: bool) -> None:
        if really:
            self.world.bucket.objects.pop(key, None)

    # -- functions ------------------------------------------------------------------------------

    @rule(plan=plans)
    def rank(self, plan: dict[int, str]) -> None:
        self.world.run(self.world.rank, self._planned(plan))

    @rule(which=picks, again=seldom, plan=plans)
    def collect(self, which: int, again: bool, plan: dict[int, str]) -> None:
        if message := self._take(self.world.messages, which, keep=True):
            ended = self.world.run(lambda: self.world.collect(message), self._planned(plan))
            if ended and not again and message in self.world.messages:
                self.world.messages.remove(message)

    @rule(full=st.booleans(), plan=plans)
    def reconcile(self, full: bool, plan: dict[int, str]) -> None:
        self.world.run(lambda: self.world.reconcile(full=full), self._planned(plan))
        self.world.events += self.world.uploads.sent
        self.world.uploads.sent.clear()

    @rule(down=seldom)
    def launcher(self, down: bool) -> None:
        self.world.launcher.down = down

    # -- people ---------------------------------------------------------------------------------

    @rule(which=picks, annotator=st.integers(1, 3), label=st.sampled_from(["cat", "dog", None]), lost=seldom)
    def annotate(self, which: int, annotator: int, label: str | None, lost: bool) -> None:
        if (task := self._pick(sorted(self.world.studio.tasks), which)) is not None:
            self.world.answer(task, annotator, label, lost=lost)

    @rule(label=st.sampled_from(["cat", "dog"]), lost=st.booleans())
    def answer_all(self, label: str, lost: bool) -> None:
        for task in sorted(self.world.studio.tasks):
            self.world.answer(task, 1, label, lost=lost)

    @rule()
    def collect_all(self) -> None:
        for message in self.world.messages[::-1]:
            if self.world.run(lambda message=message: self.world.collect(message), {}):  # type: ignore[misc]
                self.world.messages.remove(message)

    @rule(which=picks, lost=seldom, task_too=seldom)
    def delete(self, which: int, lost: bool, task_too: bool) -> None:
        if (task := self._pick(sorted(self.world.studio.tasks), which)) is not None:
            if task_too:
                self.world.studio.drop(task)
            else:
                self.world.delete_answer(task, lost=lost)

    # -- time and training ----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 60.0, 500.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.time += seconds

    @rule(which=picks)
    def start_job(self, which: int) -> None:
        if job := self._pick(self.world.launcher.launched, which):
            self.world.start_job(job)

    @rule(which=picks, how=st.sampled_from(["finishes", "fails", "is killed"]))
    def end_job(self, which: int, how: str) -> None:
        if job := self._pick(sorted(self.world.running), which):
            self.world.end_job(job, how)

    @rule(really=seldom)
    def all_is_well_again(self, really: bool) -> None:
        if not really:
            return
        self.world.recover()
        assert self.world.violations() == []
        DONE["checks"] += 1

    @invariant()
    def counted(self) -> None:
        DONE["steps"] += 1

    def teardown(self) -> None:
        self.world.recover()
        violations = self.world.violations()
        DONE["checks"] += 1
        DONE["runs"] += 1
        DONE.update(self.world.faults.happened)
        DONE.update(
            tasks=len(self.world.studio.tasks),
            answers=self.world.unique,
            labelled=len(self.world.labelled()),
            jobs=self.world.control.state().jobs,
        )
        assert violations == []

    # -- helpers --------------------------------------------------------------------------------

    def _planned(self, plan: dict[int, str]) -> dict[int, Any]:
        world = self.world

        def other(kind: str) -> None:
            world.faults.happened["overtaken"] += 1
            if kind == "rank":
                world.rank()
            elif kind == "reconcile":
                world.reconcile(full=True)
            elif kind == "collect" and world.messages:
                world.collect(world.messages[-1])
            elif kind == "write" and world.reading:
                world.write(*world.reading[-1])

        special = {"die": world.faults.die, "refuse": world.faults.refuse}
        return {at: special.get(kind) or (lambda kind=kind: other(kind)) for at, kind in plan.items()}  # type: ignore[misc]

    @staticmethod
    def _pick(choices: list[Any], which: int) -> Any:
        return choices[which % len(choices)] if choices else None

    def _take(self, waiting: list[Any], which: int, *, keep: bool) -> Any:
        picked = self._pick(waiting, which)
        if picked is not None and not keep:
            waiting.remove(picked)
        return picked


@pytest.mark.timeout(3600)
def test_the_invariants_hold_over_random_interleavings() -> None:
    DONE.clear()
    run_state_machine_as_test(
        Interleavings,
        settings=settings(
            max_examples=max(1, STEPS // PER_RUN),
            stateful_step_count=PER_RUN,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
            print_blob=True,
        ),
    )
    print(f"\n{dict(DONE)}: 0 violations")

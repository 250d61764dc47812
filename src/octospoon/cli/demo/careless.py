"""The end of a demo: a careless annotator, whose labels give a model that the gate refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rich.progress import track

from octospoon.cli.demo.failed import DemoFailed
from octospoon.cli.demo.oracle import correct, submit
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.training.policy import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from octospoon.cli.demo.task import Careless, DemoTask
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.monitoring.observations import ModelDecision


class Demo(Protocol):
    """The demo, as `octospoon.cli.demo.loop` runs it."""

    stack: LocalStack
    console: Console
    task: DemoTask

    def rank(self, number: int) -> None:
        """Let `rank` export a round."""

    def tasks(self, number: int, *, audit: bool = True) -> dict[str, int]:
        """Return the tasks of a round's images by key; without the audit share if asked."""

    def result(self, label: str) -> list[dict[str, Any]]:
        """Return the result of an annotation with a label."""

    def trained(self, number: int) -> None:
        """Wait for the end of a training job."""


def careless_round(demo: Demo, careless: Careless, number: int, champion: int) -> ModelDecision:
    """Spoil the labels of all training images, label one more round, and see its model refused.

    The annotator opens old answers again, and then answers new tasks. Only the audit share is answered
    correctly, so the gate can see how bad the model is.

    Args:
        demo: the demo after its rounds.
        careless: how the annotator spoils a label.
        number: of the additional round.
        champion: version of the model in service.

    Raises:
        DemoFailed: the model was promoted, or another one serves.
    """
    deployment, api = demo.stack.deployment, demo.stack.label_studio
    _spoil(demo, careless, number)
    demo.rank(number)
    tasks, training = demo.tasks(number), demo.tasks(number, audit=False)
    for key in track(tasks, f"Labelling round {number}", console=demo.console, transient=True):
        label = demo.task.label(key)
        submit(api, tasks[key], demo.result(careless.label(label) if key in training else label))
    demo.trained(number)
    decision, serving = deployment.history.decision(numbered(number)), deployment.champions.pointer()
    if decision is None or decision.promoted or serving is None or serving[0].version != champion:
        raise DemoFailed(f"the model of careless labels was not refused: {decision}")
    demo.console.print(
        f"round {number}: somebody {careless.words}, and version {decision.version} is refused "
        f"({'; '.join(decision.reasons)}); version {champion} goes on serving"
    )
    return decision


def _spoil(demo: Demo, careless: Careless, rounds: int) -> None:
    """Spoil the answers of the training images of all rounds below this number, and wait for the labels."""
    earlier = [demo.tasks(number, audit=False) for number in range(1, rounds)]
    tasks = {key: task for of_round in earlier for key, task in of_round.items()}
    spoiled = {key: careless.label(demo.task.label(key)) for key in tasks}
    for key in track(tasks, "Spoiling earlier labels", console=demo.console, transient=True):
        correct(demo.stack.label_studio, tasks[key], demo.result(spoiled[key]))

    def stored() -> bool | None:
        images = demo.stack.deployment.pool_report.labelled()
        labels = {image.key: image.label for image in images}
        return True if all(labels.get(key) == label for key, label in spoiled.items()) else None

    wait_for("the changed labels", stored, seconds=180)

"""The report of one run of `reconcile`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """The result of one run.

    Attributes:
        tasks: tasks that were read.
        annotations: annotations that were missing, out of date, or deleted only in Label Studio.
        labels: images that gained or lost their label.
        adopted: images with a task in Label Studio that the pool listed as selectable.
        released: images that are selectable again: their claim expired, or their task is gone.
        duplicates: deleted unanswered tasks; their image has another task, or other bytes now.
        requeued: objects of the bucket that were never scored.
        withdrawn: images whose object is gone.
        models: 1 if a version was put into service because somebody moved the registry's alias.
        at_odds: 1 if alias and champion differ until a person does what the log says.
        elsewhere: annotations of another or an unknown project, which are kept.
        withheld: labels that are kept until a person accepts their removal, because too many are missing.
        refused: why the removal that a person accepted is not made; empty if it is made.
        uncounted: present answers in Label Studio that do not count, of images without a label.
        unknown_classes: uncounted answers that name a class that the stack does not have.
        finished: whether no changed task is left for the next run.
        audited: whether no full audit is in progress.
        job: the training job that was launched; empty for none.
        events: events published.
        lost_jobs: training jobs in a row, up to now, that did not come to their end.
    """

    tasks: int = 0
    annotations: int = 0
    labels: int = 0
    adopted: int = 0
    released: int = 0
    duplicates: int = 0
    requeued: int = 0
    withdrawn: int = 0
    models: int = 0
    at_odds: int = 0
    elsewhere: int = 0
    withheld: int = 0
    refused: str = ""
    uncounted: int = 0
    unknown_classes: int = 0
    finished: bool = False
    audited: bool = False
    job: str = ""
    events: int = 0
    lost_jobs: int = 0

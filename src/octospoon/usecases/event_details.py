"""The facts of each kind of event; docs/reference/events has their schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.monitoring.events import Event, Kind
from octospoon.domain.pool.keys import image_id

if TYPE_CHECKING:
    from octospoon.domain.labelling.tasks import LabelState, Round
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.monitoring.drift import DriftResult
    from octospoon.domain.monitoring.events import Detail
    from octospoon.domain.monitoring.observations import ModelDecision


def round_exported(round_: Round) -> Event:
    """Return the event of a batch whose tasks are in Label Studio."""
    detail: Detail = {
        "round": round_.number,
        "images": len(round_.picks),
        "audit_images": sum(pick.audit for pick in round_.picks),
        "model_version": round_.model_version,
        "chosen_at": round_.created_at,
    }
    return Event(Kind.ROUND_EXPORTED, str(round_.number), detail)


def label_settled(state: LabelState, shown: str | None) -> Event:
    """Return the event of an image whose label changed.

    Args:
        state: of the image.
        shown: the present name of its class; None if it has no label any more.
    """
    detail: Detail = {
        "key": state.key,
        "etag": state.etag,
        "label": shown,
        "agreement": state.agreement,
        "annotators": state.annotators,
        "audit": state.audit,
        "revision": state.revision,
    }
    return Event(Kind.LABEL_SETTLED, f"{image_id(state.key, state.etag)}/{state.revision}", detail)


def training_finished(job: str, decision: ModelDecision | None, reason: str) -> Event:
    """Return the event of a training job that ended.

    Args:
        job: id of the job.
        decision: what the gate said; None if the job ended before.
        reason: why it ended so.
    """
    outcome = "failed" if decision is None else "promoted" if decision.promoted else "refused"
    version = None if decision is None else decision.version
    return Event(
        Kind.TRAINING_FINISHED, job, {"job": job, "outcome": outcome, "version": version, "reason": reason}
    )


def model_refused(decision: ModelDecision) -> Event:
    """Return the event of a model that the gate refused."""
    reason = "; ".join(decision.reasons)
    detail: Detail = {"job": decision.job_id, "version": decision.version, "reason": reason}
    return Event(Kind.MODEL_REFUSED, decision.job_id, detail)


def model_promoted(pointer: ChampionPointer) -> Event:
    """Return the event of a model that came into service, by the gate, a command or MLflow's alias."""
    detail: Detail = {
        "version": pointer.version,
        "previous_version": None if pointer.previous is None else pointer.previous.version,
        "generation": pointer.generation,
        "classes": len(pointer.classes),
    }
    return Event(Kind.MODEL_PROMOTED, str(pointer.generation), detail)


def drift_confirmed(version: int, until: str, result: DriftResult) -> Event:
    """Return the event of a window whose drift is confirmed.

    Args:
        version: of the model in service.
        until: the last UTC day of the window.
        result: of its tests.
    """
    detail: Detail = {
        "model_version": version,
        "until": until,
        "images": result.images,
        "components_p": result.components_p,
        "probabilities_p": result.probabilities_p,
        "classes_p": result.classes_p,
        "discrepancy_p": result.discrepancy_p,
    }
    return Event(Kind.DRIFT_CONFIRMED, f"{version}/{until}", detail)

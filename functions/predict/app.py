"""Predict an image, or the images of Label Studio's tasks, with the model in service."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_studio import ml_backend
from octospoon.domain.errors import OctospoonError, Unauthorized
from octospoon.domain.model_spec import version_name
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.runtime import questions, rest
from octospoon.runtime.observability import count, make_logger, make_metrics
from octospoon.runtime.questions import Question
from octospoon.runtime.wiring import predict as wiring
from octospoon.usecases.shared_secret import same_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.task_types.task_type import Predicted
    from octospoon.usecases.predict import Answer, PredictImages

    SecondsLeft = Callable[[], float]
    Json = dict[str, Any]

logger = make_logger("predict")
metrics = make_metrics("predict")


@cache
def use_case() -> PredictImages:
    """Wire once per execution environment."""
    return wiring.predict()


@metrics.log_metrics
def handler(event: Json, context: Any) -> Json:  # noqa: ANN401 - AWS's context
    """Answer one request. Bodies and headers are never logged, because they hold secrets."""
    request = rest.Request.of(event)
    if request.route == ("POST", "/webhook"):
        # Label Studio sends its webhooks without the secret, and needs no work done
        return rest.answer(200, {"status": "ok"})
    try:
        if not same_secret(request.secret(), wiring.predict_secret()):
            raise Unauthorized(
                f"the secret is missing or wrong: send it as {rest.SECRET_HEADER} or as Basic password"
            )
        if request.route not in ROUTES:
            raise rest.NoSuchRoute(f"there is no route {' '.join(request.route)}")
        return ROUTES[request.route](request, lambda: context.get_remaining_time_in_millis() / 1000)
    except OctospoonError as error:
        logger.warning("refused: %s", error)
        count(metrics, "refused", 1)
        return rest.refusal(error)


def _health(request: rest.Request, seconds_left: SecondsLeft) -> Json:  # noqa: ARG001 - every route has it
    return rest.answer(200, ml_backend.HEALTH)


def _setup(request: rest.Request, seconds_left: SecondsLeft) -> Json:  # noqa: ARG001
    ml_backend.check_setup(request.body(), wiring.control())
    return rest.answer(200, {"model_version": version_name(wiring.version_in_service())})


def _versions(request: rest.Request, seconds_left: SecondsLeft) -> Json:  # noqa: ARG001
    return rest.answer(200, {"versions": [version_name(wiring.version_in_service())]})


def _predict(request: rest.Request, seconds_left: SecondsLeft) -> Json:
    body, add = request.body(), request.switch("add")
    if not questions.is_json(body, request.headers.get("content-type", "")):
        return _answer(Question(body, add=add), seconds_left)
    if questions.is_label_studio(body):
        return _tasks(body, seconds_left)
    return _answer(questions.question(body, add=add), seconds_left)


def _answer(question: Question, seconds_left: SecondsLeft) -> Json:
    answer = _prediction(question, seconds_left)
    count(metrics, "predicted", 1)
    added = {"key": answer.key} if answer.key else {}
    if answer.predicted is None:
        why = "the model in service has no classes yet: the first training job adds them"
        return rest.answer(409, {"error": why, "model_version": answer.model_version, **added})
    return rest.answer(200, _body(answer, answer.predicted) | added)


def _prediction(question: Question, seconds_left: SecondsLeft) -> Answer:
    if question.key:
        return use_case().stored(question.key, seconds_left)
    return use_case().image(question.data, seconds_left, add=question.add)


def _body(answer: Answer, predicted: Predicted) -> Json:
    return {
        "classes": answer.classes,
        **_seen(answer, predicted),
        "confidence": predicted.confidence,
        "model_version": answer.model_version,
    }


def _seen(answer: Answer, predicted: Predicted) -> Json:
    """Return what the model sees, in the form of the task type."""
    kind = use_case().task_type
    if kind.name == TaskTypeName.DETECTION:
        drawn = zip(Boxes().read(predicted.label), predicted.scores, strict=True)
        boxes = [{"class": box.name, "box": box[1:], "score": round(score, 6)} for box, score in drawn]
        return {"boxes": boxes, "label": predicted.label, "labels": kind.labels.classes(predicted.label)}
    several = (
        {} if kind.name == TaskTypeName.CLASSIFICATION else {"labels": kind.labels.classes(predicted.label)}
    )
    return {"probabilities": answer.probabilities, "label": predicted.label, **several}


def _tasks(body: bytes, seconds_left: SecondsLeft) -> Json:
    request = ml_backend.prediction_request(body, wiring.images_bucket(), wiring.control())
    answers = use_case().for_annotators(request.keys, seconds_left)
    count(metrics, "predicted", sum(answer is not None for answer in answers))
    return rest.answer(200, ml_backend.results(request, answers))


ROUTES: dict[tuple[str, str], Callable[[rest.Request, SecondsLeft], Json]] = {
    ("GET", "/health"): _health,
    ("POST", "/setup"): _setup,
    ("GET", "/versions"): _versions,
    ("POST", "/predict"): _predict,
}

"""A picture, or Label Studio's tasks -> what the model in service says of them, now."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_studio import ml_backend
from octospoon.domain.errors import OctospoonError, Unauthorized
from octospoon.domain.model_spec import version_name
from octospoon.runtime import questions, rest
from octospoon.runtime.observability import count, make_logger, make_metrics
from octospoon.runtime.questions import Question
from octospoon.runtime.wiring import predict as wiring
from octospoon.usecases.shared_secret import same_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.usecases.predict import Answer, PredictImages

    Left = Callable[[], float]
    Json = dict[str, Any]

logger = make_logger("predict")
metrics = make_metrics("predict")


@cache
def use_case() -> PredictImages:
    """Wire once per execution environment."""
    return wiring.predict()


@metrics.log_metrics
def handler(event: Json, context: Any) -> Json:  # noqa: ANN401 - AWS's context
    """Answer one request. No body and no header is logged: both hold secrets."""
    request = rest.Request.of(event)
    if request.route == ("POST", "/webhook"):
        # Label Studio's, and without the secret: nothing is done with it
        return rest.answer(200, {"status": "ok"})
    try:
        if not same_secret(request.secret(), wiring.predict_secret()):
            raise Unauthorized(
                f"the secret is missing or wrong: send it as {rest.SECRET_HEADER} or as Basic password"
            )
        if request.route not in ROUTES:
            raise rest.NoSuchRoute(f"nothing answers to {' '.join(request.route)}")
        return ROUTES[request.route](request, lambda: context.get_remaining_time_in_millis() / 1000)
    except OctospoonError as error:
        logger.warning("refused: %s", error)
        count(metrics, "refused", 1)
        return rest.refusal(error)


def _health(request: rest.Request, left: Left) -> Json:  # noqa: ARG001 - as every route
    return rest.answer(200, ml_backend.HEALTH)


def _setup(request: rest.Request, left: Left) -> Json:  # noqa: ARG001
    ml_backend.check_setup(request.body())
    return rest.answer(200, {"model_version": version_name(wiring.version_in_service())})


def _versions(request: rest.Request, left: Left) -> Json:  # noqa: ARG001
    return rest.answer(200, {"versions": [version_name(wiring.version_in_service())]})


def _predict(request: rest.Request, left: Left) -> Json:
    body, add = request.body(), request.switch("add")
    if not questions.is_json(body, request.headers.get("content-type", "")):
        return _answer(Question(body, add=add), left)
    if questions.is_label_studio(body):
        return _tasks(body, left)
    return _answer(questions.question(body, add=add), left)


def _answer(asked: Question, left: Left) -> Json:
    predict = use_case()
    said = predict.stored(asked.key, left) if asked.key else predict.picture(asked.data, left, add=asked.add)
    count(metrics, "predicted", 1)
    joined = {"key": said.key} if said.key else {}
    if not said.classes:
        why = "the model in service knows no classes yet: the first training job brings them"
        return rest.answer(409, {"error": why, "model_version": said.model_version, **joined})
    return rest.answer(200, _told(said) | joined)


def _told(said: Answer) -> Json:
    return {
        "classes": said.classes,
        "probabilities": said.probabilities,
        "label": said.label,
        "confidence": said.confidence,
        "model_version": said.model_version,
    }


def _tasks(body: bytes, left: Left) -> Json:
    asked = ml_backend.wanted(body, wiring.images_bucket())
    answers = use_case().each(asked.keys, left)
    count(metrics, "predicted", sum(one is not None for one in answers))
    return rest.answer(200, ml_backend.results(asked, answers))


ROUTES: dict[tuple[str, str], Callable[[rest.Request, Left], Json]] = {
    ("GET", "/health"): _health,
    ("POST", "/setup"): _setup,
    ("GET", "/versions"): _versions,
    ("POST", "/predict"): _predict,
}

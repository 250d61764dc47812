"""Measure cheaper forms of the backbone on images, and write the forms that are worth it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import OnnxHead
from octospoon.cli.operations.upload import find
from octospoon.domain.errors import BadImage, BadRequest, NotConfigured
from octospoon.domain.evaluation import optimization
from octospoon.domain.labelling.class_translation import translation
from octospoon.domain.pool import keys
from octospoon.training.model import optimize
from octospoon.training.model.optimize import Sample
from octospoon.usecases.unseen import Unseen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.ports.images import ImageStore
    from octospoon.training.model.optimize import Form, Forms

    File = tuple[str, bytes]

CALIBRATION = 100
LEAST = 20


def of_deployment(deployment: Deployment, count: int) -> Forms:
    """Compare the forms of the champion on the labelled audit sample and on a sample of the pool.

    Raises:
        NotConfigured: there is no champion yet.
        BadRequest: there are too few images.
        BadModel: the record of the champion's training is missing or damaged.
    """
    champion = deployment.champions.pointer()
    if champion is None:
        raise NotConfigured("there is no model yet: run `octospoon init-model` first")
    images = deployment.images
    audit = {image.key: image for image in deployment.labels.labelled() if image.audit}
    history, pointer = deployment.class_record().read(), champion[0]
    with tempfile.TemporaryDirectory() as folder:
        path = deployment.champions.fetch(pointer, Path(folder))
        scorer = OnnxScorer(path)
        translated = translation(history, scorer.spec.classes)
        model = None
        if pointer.head_key and translated.names:
            served = OnnxHead(deployment.champions.fetch_head(pointer, Path(folder)))
            model = Unseen(served, deployment.training_records.get(pointer), translated)
            audit = {key: image for key, image in audit.items() if model.known([image])[0]}
        labelled = _tensors(scorer, _read(images, list(audit)[:count]))
        pool = _tensors(scorer, _read(images, _spread(deployment, count + CALIBRATION)))
        classes = {name: position for position, name in enumerate(translated.names)}
        labels = [classes.get(audit[key].label, -1) for key in labelled]
        head = None if model is None else JudgingHead(model, tuple(audit[key] for key in labelled))
        return optimize.forms(path.read_bytes(), head, _sample(pool, list(labelled.values()), labels))


@dataclass(frozen=True, slots=True)
class JudgingHead:
    """A head that answers with the classes that the project has now, about labelled images and others.

    Attributes:
        model: gives each labelled image to a head that was not trained on it.
        labelled: the images of the first rows.
    """

    model: Unseen
    labelled: tuple[LabelledImage, ...]

    def run(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C] for embeddings float32 [N, D], of the labelled images first."""
        n = len(self.labelled)
        parts = [self.model.answers(self.labelled, embeddings[:n]), self.model.served(embeddings[n:])]
        return np.concatenate(parts)


def of_file(model: Path, folder: Path, count: int) -> Forms:
    """Compare the forms of a model file on a folder of images; raises BadRequest if there are too few."""
    paths = sorted(find([folder]).items(), key=lambda item: keys.sampling_key(item[0]))
    read = ((key, path.read_bytes()) for key, path in paths[: count + CALIBRATION])
    scorer = OnnxScorer(model)
    return optimize.forms(model.read_bytes(), None, _sample(_tensors(scorer, read), [], []))


def _spread(deployment: Deployment, count: int) -> list[str]:
    """Return keys of selectable images in the order of their sampling keys, a repeatable random sample."""
    of_a_shard = -(-count // keys.SHARDS)
    pages = [deployment.pool.selectable(shard, -1.0, of_a_shard)[0] for shard in range(keys.SHARDS)]
    return sorted((image.key for page in pages for image in page), key=keys.sampling_key)[:count]


def _read(images: ImageStore, image_keys: Iterable[str]) -> Iterator[File]:
    for key in image_keys:
        try:
            yield key, images.read(key).data
        except BadImage:  # deleted in the meantime
            continue


def _tensors(scorer: OnnxScorer, files: Iterable[File]) -> dict[str, npt.NDArray[np.uint8]]:
    tensors = {}
    for key, data in files:
        try:
            tensors[key] = scorer.preprocess(data).pixels
        except BadImage:
            continue
    return tensors


def _sample(
    pool: dict[str, npt.NDArray[np.uint8]], labelled: list[npt.NDArray[np.uint8]], labels: list[int]
) -> Sample:
    """Split the images: up to CALIBRATION, at most half of the pool, for calibration, the rest to compare.

    Args:
        pool: images without a label, by key.
        labelled: images with a label.
        labels: their positions in the class list; -1 for a class that the model does not know.
    """
    calibrating = min(CALIBRATION, len(pool) // 2)
    if calibrating < LEAST:
        raise BadRequest(f"{2 * LEAST} readable images without a label are needed, but there are {len(pool)}")
    tensors = list(pool.values())
    compared = [*labelled, *tensors[calibrating:]]
    return Sample(
        np.stack(tensors[:calibrating]),
        np.stack(compared),
        np.array(labels + [-1] * (len(compared) - len(labels)), np.int64),
    )


def document(forms: Forms, folder: Path) -> dict[str, object]:
    """Judge every form, write the files that are worth it, and return all figures as one document."""
    judged = {name: (verdict, path) for name, verdict, path in keep(forms, folder)}
    return {"forms": [_figures(form, judged.get(form.name)) for form in forms], "failed": forms.failed}


def _figures(form: Form, judged: tuple[optimization.Verdict, Path | None] | None) -> dict[str, object]:
    figures: dict[str, object] = {
        "name": form.name,
        "megabytes": len(form.model) / 1e6,
        "image_seconds": float(np.median(form.answers.image)),
        "load_seconds": float(np.median(form.answers.load)),
    }
    compared = form.comparison
    if compared is None or judged is None:
        return figures
    verdict, path = judged
    return figures | {
        "images": compared.images,
        "image_ratio": compared.image_ratio,
        "cosine": compared.cosine,
        "cosine_low": compared.cosine_low,
        "same_top": compared.same_top,
        "probability_gap": compared.probability_gap,
        "labelled": len(compared.right),
        "right": int(compared.right.sum()),
        "original_right": int(compared.original_right.sum()),
        "worth": verdict.worth,
        "reasons": verdict.reasons,
        "file": path,
    }


def keep(forms: list[Form], folder: Path) -> list[tuple[str, optimization.Verdict, Path | None]]:
    """Judge every form, write those that are worth it, and return the verdict and file of each."""
    judged: list[tuple[str, optimization.Verdict, Path | None]] = []
    for form in forms:
        if form.comparison is None:
            continue
        verdict, path = optimization.judge(form.comparison), folder / f"{form.name}.onnx"
        if verdict.worth:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(form.model)
        judged.append((form.name, verdict, path if verdict.worth else None))
    return judged

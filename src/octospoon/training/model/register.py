"""Register an imported model, so that it has a version and a run in MLflow like a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.training.model import model_file

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.ports.training import Registry

FILES = ("model.onnx", "head.onnx")


def register(registry: Registry, folder: Path, source: str, above: int = -1) -> int:
    """Reserve a version for a model, write it into both files, and log them.

    Equal files get an equal version.

    Args:
        registry: the model registry.
        folder: contains ``model.onnx`` and, unless it is a detector, ``head.onnx`` of version 0, and nothing
            else.
        source: origin of the model, for people.
        above: the highest version that the deployment ever had.

    Returns:
        The version.

    Raises:
        OctospoonError: the registry failed; the model in service has not changed.
    """
    spec = model_file.read_spec((folder / "model.onnx").read_bytes())
    job = f"import-{model_file.sha256((folder / 'model.onnx').read_bytes())[:16]}"
    reason = {"octospoon.reason": f"imported from {source}"}
    run = registry.begin(job, reason, lambda least: max(least, above + 1))
    for path in folder.iterdir():
        path.write_bytes(model_file.renumbered(path.read_bytes(), run.version))
    params = {
        "version": str(run.version),
        "classes": ", ".join(spec.classes),
        "backbone": spec.backbone,
        "embedding": str(spec.dim),
        "trainer": "imported",
    }
    registry.log(run, params, {}, folder)
    registry.tag(run, {"octospoon.outcome": "imported"})
    registry.end(run, succeeded=True)
    return run.version

"""Registers an imported model: it gets a version and a run in MLflow as a trained one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.training.model import model_file

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.ports.training import Registry

FILES = ("model.onnx", "head.onnx")


def register(registry: Registry, folder: Path, source: str, above: int = -1) -> int:
    """Reserve a version for the model in a folder, write it into both files, and log them.

    The same file again gets the same version.

    Args:
        registry: where.
        folder: holds ``model.onnx`` and ``head.onnx`` of version 0, and nothing else.
        source: where the model came from, for people.
        above: the highest version that the deployment has, or had.

    Raises:
        OctospoonError: the registry failed; nothing is in service yet.
    """
    spec = model_file.read_spec((folder / "model.onnx").read_bytes())
    job = f"import-{model_file.sha256((folder / 'model.onnx').read_bytes())[:16]}"
    reason = {"octospoon.reason": f"imported from {source}"}
    run = registry.begin(job, reason, lambda least: max(least, above + 1))
    for name in FILES:
        path = folder / name
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

"""Drift references in the artifacts bucket, beside the model files."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import reference_key
from octospoon.domain.monitoring.drift import Reference

if TYPE_CHECKING:
    from octospoon.adapters.s3.artifacts import S3Artifacts

_STORED = {name: name for name in Reference.__slots__} | {"statistics": "probabilities"}
"""The names in the archive, by attribute. The last is that of earlier releases."""


class S3References:
    """Implements `octospoon.ports.models.References`: one compressed numpy archive for each model."""

    def __init__(self, artifacts: S3Artifacts) -> None:
        self._artifacts = artifacts

    def put(self, model_sha256: str, reference: Reference) -> None:
        """Store a model's reference unless it has one already."""
        body = io.BytesIO()
        arrays = {stored: getattr(reference, name) for name, stored in _STORED.items()}
        np.savez_compressed(body, **arrays)
        self._artifacts.write_new(reference_key(model_sha256), body.getvalue())

    def get(self, model_sha256: str) -> Reference | None:
        """Return a model's reference, or None if it has none.

        Raises:
            BadModel: the object is not a drift reference.
        """
        key = reference_key(model_sha256)
        stored = self._artifacts.read(key)
        if stored is None:
            return None
        try:
            with np.load(io.BytesIO(stored[0]), allow_pickle=False) as arrays:
                return Reference(**{name: arrays[stored] for name, stored in _STORED.items()})
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise BadModel(f"{key} is not a drift reference: {error}") from error

"""octospoon model: the model that predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.model_spec import ChampionPointer, model_key
from octospoon.training.model_file import read_spec, starter_model

if TYPE_CHECKING:
    from octospoon.cli.context import Deployment


def init_model(deployment: Deployment) -> ChampionPointer:
    """Give a new deployment its cold-start model (embeddings only), and leave any other as it is."""
    champions = deployment.champions
    found = champions.pointer()
    if found is not None:
        return found[0]
    model = starter_model()
    sha, _ = champions.put_model(model, None)
    champions.promote(ChampionPointer(0, sha, model_key(sha), read_spec(model).backbone), None)
    return init_model(deployment)

"""A new, empty registry: version numbers continue, and the files of old versions stay."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from octospoon.adapters.mlflow.alias import MlflowAlias, MlflowVersions
from octospoon.adapters.mlflow.rest import MlflowApi
from octospoon.adapters.s3.artifacts import S3Artifacts, S3Champions
from octospoon.domain.errors import VersionTaken
from octospoon.domain.model_spec import VERSION_TAG, ChampionPointer

if TYPE_CHECKING:
    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack


def test_the_alias_is_read_and_moved_by_our_versions(stack: LocalStack) -> None:
    name, api = f"reset-{uuid.uuid4().hex}", MlflowApi(stack.project.mlflow_url, lambda: ("", ""))
    alias, versions = MlflowAlias(api, name), MlflowVersions(api, name)

    def made(**tags: str) -> None:
        pairs: Any = [{"key": key, "value": value} for key, value in tags.items()]
        api.call("POST", "model-versions/create", json={"name": name, "source": "s3://m/m", "tags": pairs})

    api.call("POST", "registered-models/create", json={"name": name})
    made()
    made()
    assert alias.move(2)
    assert alias.read() == 2, "versions of earlier releases have no tag"

    url = f"{stack.project.mlflow_url}/api/2.0/mlflow/registered-models/delete"
    httpx.request("DELETE", url, json={"name": name}, timeout=30).raise_for_status()
    assert alias.read() is None
    assert not alias.move(2)

    api.call("POST", "registered-models/create", json={"name": name})
    made(**{VERSION_TAG: "3"})
    assert alias.move(3)
    assert alias.read() == 3, "what the registry calls 1 is our version 3"
    assert versions.find(1) is None
    assert not alias.move(1)


def test_version_number_is_given_once_and_its_model_never_replaced(stack: LocalStack) -> None:
    s3, bucket = stack.deployment.client("s3"), f"reset-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    champions = S3Champions(S3Artifacts(s3, bucket))
    assert champions.newest() == -1
    pointer = ChampionPointer.of(7, "b" * 64, "a" * 64)
    champions.keep(pointer)
    champions.keep(pointer)
    with pytest.raises(VersionTaken, match="version 7 is another model already"):
        champions.keep(replace(pointer, sha256="c" * 64))
    assert champions.version(7) == pointer

    assert champions.claim("train-000009", 1) == 8, "the registry counts from 1 again"
    assert champions.claim("train-000009", 1) == 8, "a job that died gets its number again"
    assert champions.claim("train-000010", 12) == 12, "the registry is ahead"
    with ThreadPoolExecutor(4) as threads:
        given = list(threads.map(lambda job: champions.claim(f"train-{job % 6}", 1), range(12)))
    assert given[:6] == given[6:]
    assert len(set(given)) == 6, "no two jobs have one number"
    assert min(given) > 12
    assert champions.newest() >= max(given), "a job that ran twice at once may leave a number unused"

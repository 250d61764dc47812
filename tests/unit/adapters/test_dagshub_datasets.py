"""The repository that receives snapshots. tests/integration/training/dagshub_cases.py tests the client."""

from __future__ import annotations

import pytest

from octospoon.adapters.dagshub.datasets import Repository
from octospoon.domain.errors import NotConfigured

ON_DAGSHUB = {"MLFLOW_TRACKING_URI": "https://dagshub.com/me/al.mlflow", "MLFLOW_TRACKING_PASSWORD": "p"}
ELSEWHERE = {"MLFLOW_TRACKING_URI": "https://mlflow.example.org", "MLFLOW_TRACKING_PASSWORD": "p"}


@pytest.mark.parametrize(
    ("named", "environment", "repository"),
    [
        ("", {}, None),
        ("", ELSEWHERE, None),
        ("", ON_DAGSHUB, Repository("https://dagshub.com", "me/al", "p")),
        ("", ON_DAGSHUB | {"DAGSHUB_USER_TOKEN": "t"}, Repository("https://dagshub.com", "me/al", "t")),
        ("me/data", ON_DAGSHUB, Repository("https://dagshub.com", "me/data", "p")),
        (
            "",
            {"MLFLOW_TRACKING_URI": "https://me:x@hub.example.org/me/al.mlflow/"},
            Repository("https://hub.example.org", "me/al", ""),
        ),
        (
            "me/data",
            ELSEWHERE | {"DAGSHUB_USER_TOKEN": "t"},
            Repository("https://dagshub.com", "me/data", "t"),
        ),
    ],
)
def test_repository_is_named_by_the_setting_or_tracking_server(named, environment, repository):
    assert Repository.of(named, environment) == repository


def test_dagshub_never_gets_another_servers_password():
    repository = Repository.of("me/data", ELSEWHERE)
    assert repository is not None
    assert repository.token == ""


def test_a_name_that_is_none_is_told():
    with pytest.raises(NotConfigured, match="owner/name"):
        Repository.of("data", ON_DAGSHUB)

"""Every malformed secret is refused by the name of its setting; none is quoted."""

from __future__ import annotations

import pytest

from octospoon.domain.errors import NotConfigured
from octospoon.domain.secrets import checked_secret, header_secret, hidden, split_sign_in, without_sign_in

ENDINGS = ["", "\n", "\r\n", "\r", "\t", " ", "\u2028", "\ufeff"]
BROKEN = ["s3cr\net", "s3cr\r\net", "s3cr\x00et", "s3cret\x00", "s3cr\tet", "s3cr\x7fet", "s3cr\u200bet"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_white_space_around_a_secret_is_no_part_of_it(ending: str) -> None:
    assert header_secret("a", ending + "s3cret" + ending) == "s3cret"
    assert checked_secret("a", ending + "s3cret" + ending) == "s3cret"


@pytest.mark.parametrize("value", [*BROKEN, "", "\n", " \t ", "\ufeff"])
def test_what_no_secret_can_hold_is_refused_by_name(value: str) -> None:
    for check in (header_secret, checked_secret):
        with pytest.raises(NotConfigured, match="the secret arn:token ") as caught:
            check("arn:token", value)
        assert not value.strip("\ufeff \t\n") or value not in str(caught.value)
        assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize("value", ["s3crét", "ключ", "秘密", "s3cr\ud800et"])
def test_a_header_carries_ascii_only(value: str) -> None:
    with pytest.raises(NotConfigured, match="the secret token ") as caught:
        header_secret("token", value)
    assert value not in str(caught.value)


def test_a_password_may_hold_letters_of_any_script() -> None:
    assert checked_secret("password", "pä55 wörd\n") == "pä55 wörd"


def test_quotes_belong_to_a_secret() -> None:
    assert header_secret("token", '"abc"') == '"abc"'


def test_an_address_and_its_sign_in_are_told_apart() -> None:
    assert split_sign_in("MLflow", "https://me:p%40ss@host:8/x/\n") == ("https://host:8/x", ("me", "p@ss"))
    assert split_sign_in("MLflow", "http://host") == ("http://host", ("", ""))


@pytest.mark.parametrize(
    "url", ["ftp://me:s3cret@host", "http://me:s3/cret@host", "http://me:s3cret@", "s3cret", "http://h:x", ""]
)
def test_what_is_no_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(NotConfigured, match="MLflow") as caught:
        split_sign_in("MLflow", url)
    assert "s3" not in str(caught.value)


def test_texts_of_others_are_cleared_of_secrets() -> None:
    assert hidden("no: abc at http://me:pw@host/x", "abc", "") == "no: *** at http://host/x"
    assert without_sign_in("see http://me:p@ss@host or https://h") == "see http://host or https://h"

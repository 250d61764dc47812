from __future__ import annotations

from urllib.parse import urlparse

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from octospoon.domain.labelling.addresses import address_of, shown_key, why_not_shown

BUCKET = "octospoon-images"
ODD = st.sampled_from(list("/?#;%&+=.:@ \t\n\r\0\x0b\x1f\x85\xa0\u2028\u3000[]{}<>'\"\\aé")) | st.characters(
    exclude_categories=["Cs"]
)
KEYS = st.text(ODD, min_size=1, max_size=12)


def label_studio_reads(address: str) -> tuple[str, str]:
    """Return bucket and key as Label Studio's io_storages parse them from an address in a task."""
    address = str(address).strip()  # get_uri_via_regex
    assert address.startswith("s3")
    parsed = urlparse(address, allow_fragments=False)  # S3ImportStorageBase.get_bytes_stream, resolve_s3_url
    return parsed.netloc, parsed.path.lstrip("/")


@given(KEYS)
@example("photo?")
@example("trail ")
@example(" lead")
@example("s3://octospoon-images/a")
def test_the_domain_reads_addresses_as_label_studio_does(key: str) -> None:
    address = address_of(BUCKET, key)

    assert label_studio_reads(address) == (BUCKET, shown_key(BUCKET, address))


@given(KEYS)
def test_accepted_key_is_shown_and_a_refused_one_never(key: str) -> None:
    shown = label_studio_reads(address_of(BUCKET, key))[1]

    assert (shown == key and "\0" not in key) == (why_not_shown(key) == "")


@pytest.mark.parametrize(
    "key",
    [
        *(
            "plain/a.png",
            "b b.png",
            "50%20.png",
            "#1.png",
            "a;b",
            "trail/",
            "trail.png ",
            "nbsp\xa0",
            " lead",
        ),
        *("../up", "./here", "a//b", "12345", "null", "{curly}[sq]|^~`<>.png", "emoji😀.png", "x" * 1024),
    ],
)
def test_most_keys_are_shown(key: str) -> None:
    assert why_not_shown(key) == ""


@pytest.mark.parametrize(
    ("key", "consequence", "cause"),
    [
        ("dir/photo.png?w=300", "would show 'dir/photo.png'", "question mark"),
        ("photo?", "would show 'photo'", "question mark"),
        ("?", "would show nothing", "question mark"),
        ("/leading.png", "would show 'leading.png'", "slashes"),
        ("//", "would show nothing", "slashes"),
        ("tab\tkey.png", "would show 'tabkey.png'", "tabs"),
        ("line\r\nbreak.png", "would show 'linebreak.png'", "tabs"),
        ("nul\0", "cannot store", "NUL"),
    ],
)
def test_a_refusal_says_what_would_be_seen_and_why(key: str, consequence: str, cause: str) -> None:
    reason = why_not_shown(key)

    assert consequence in reason
    assert cause in reason
    assert "another key" in reason


@pytest.mark.parametrize("address", ["http://169.254.169.254/", "s3://other/k", "s3://octospoon-images", ""])
def test_another_address_names_no_key_of_the_bucket(address: str) -> None:
    assert shown_key(BUCKET, address) == ""

"""The repository of the training image in ECR: names, the images that are there, and what they run on."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import httpx
from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.adapters.http_errors import described
from octospoon.adapters.tls import tls_settings
from octospoon.domain.errors import NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

IMAGE = "TrainingImageUri"
"""The parameter with the image's address."""
_INDEXES = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
]
_MANIFESTS = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]
_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z0-9.-]+/(?P<name>[^@:]+)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[^@:/]+))"
)
_ABSENT = {"RepositoryNotFoundException", "ImageNotFoundException"}
_TIMEOUT = 30.0
_PROCESSORS = {"amd64": "X86_64", "arm64": "ARM64"}


def image_stack(stack: str) -> str:
    """Return the name of the stack that has the training image of a stack."""
    return f"{stack}-image"


def repository_name(stack: str) -> str:
    """Return the name of a stack's repository. ECR takes small letters, and single hyphens between them."""
    return f"octospoon/{re.sub('-+', '-', stack.lower()).strip('-')}"


class Repository:
    """The repository of one stack.

    Args:
        client: of ECR.
        name: of the repository.
    """

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 - boto3's type is not installed
        self._client = client
        self.name = name

    def exists(self) -> bool:
        """Return whether the repository exists."""
        with translated(f"looking for the repository {self.name}"):
            try:
                self._client.describe_repositories(repositoryNames=[self.name])
            except ClientError as error:
                if code(error) in _ABSENT:
                    return False
                raise
        return True

    def uri(self) -> str:
        """Return the address that Docker pushes to."""
        with translated(f"looking for the repository {self.name}"):
            description = self._client.describe_repositories(repositoryNames=[self.name])["repositories"][0]
        return str(description["repositoryUri"])

    def pinned(self, tag: str) -> str | None:
        """Return the address of an image by its digest; None if there is no image with this tag."""
        with translated(f"looking for the image {self.name}:{tag}"):
            try:
                answer = self._client.describe_images(repositoryName=self.name, imageIds=[{"imageTag": tag}])
            except ClientError as error:
                if code(error) in _ABSENT:
                    return None
                raise
        return f"{self.uri()}@{answer['imageDetails'][0]['imageDigest']}"

    def owns(self, uri: str) -> bool:
        """Return whether an image is in this repository, of any account."""
        match = _URI.fullmatch(uri)
        return match is not None and match["name"] == self.name

    def sign_in(self) -> tuple[str, str]:
        """Return a user name and a password for this account's registry, which last twelve hours."""
        with translated("signing in to the registry"):
            answer = self._client.get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
        return user, password

    def size(self) -> tuple[int, int]:
        """Return the number of images and their bytes. Layers that images share count once for each."""
        with translated(f"reading the images of {self.name}"):
            pages = self._client.get_paginator("describe_images").paginate(repositoryName=self.name)
            sizes = [image.get("imageSizeInBytes", 0) for page in pages for image in page["imageDetails"]]
        return len(sizes), sum(sizes)


def check_architecture(client: Any, uri: str, architecture: str) -> None:  # noqa: ANN401 - not installed
    """Check that an image in ECR runs on the processor that the tasks have.

    Args:
        client: of ECR, in the image's region.
        uri: of the image.
        architecture: a value of TrainingArchitecture.

    Raises:
        NotConfigured: there is no such image, or it is for another processor.
        ServiceUnavailable: ECR did not answer.
    """
    available = architectures(client, uri)
    if architecture not in available:
        raise NotConfigured(
            f"the image {uri} runs on {' and '.join(sorted(available)) or 'no known processor'}, but "
            f"TrainingArchitecture is {architecture}: a task would never start. Delete the image, and build "
            f"it with --platform linux/{_docker_name(architecture)}"
        )


def architectures(client: Any, uri: str) -> set[str]:  # noqa: ANN401 - boto3's type is not installed
    """Return the processors that an image in ECR is for, as values of TrainingArchitecture.

    Raises:
        NotConfigured: there is no such image.
        ServiceUnavailable: ECR did not answer.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise NotConfigured(f"{uri} is not the address of an image in ECR, with a tag or a digest")
    image = {"imageDigest": match["digest"]} if match["digest"] else {"imageTag": match["tag"]}
    with translated(f"reading the image {uri}"):
        answer = client.batch_get_image(
            registryId=match["account"],
            repositoryName=match["name"],
            imageIds=[image],
            acceptedMediaTypes=[*_INDEXES, *_MANIFESTS],
        )
        if not answer["images"]:
            raise NotConfigured(f"there is no image {uri}")
        manifest = json.loads(answer["images"][0]["imageManifest"])
        if "manifests" in manifest:
            return _known(
                entry.get("platform", {}).get("architecture", "") for entry in manifest["manifests"]
            )
        address = client.get_download_url_for_layer(
            registryId=match["account"],
            repositoryName=match["name"],
            layerDigest=manifest["config"]["digest"],
        )["downloadUrl"]
    return _known([str(_config(address).get("architecture", ""))])


def region_of(uri: str) -> str | None:
    """Return the region of an image in ECR; None for an image elsewhere."""
    match = _URI.fullmatch(uri)
    return match["region"] if match else None


def _known(names: Iterable[str]) -> set[str]:
    return {_PROCESSORS[name] for name in names if name in _PROCESSORS}


def _docker_name(architecture: str) -> str:
    return next(name for name, value in _PROCESSORS.items() if value == architecture)


def _config(address: str) -> dict[str, Any]:
    """Return the configuration of an image, from an address that is signed for this one request."""
    try:
        answer = httpx.get(address, timeout=_TIMEOUT, verify=tls_settings(), follow_redirects=True)
        answer.raise_for_status()
        config: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise ServiceUnavailable(
            f"the image's configuration cannot be read from ECR: {described(error)}"
        ) from None
    return config

"""Turns every error into one sentence that says what to do, instead of a traceback."""

from __future__ import annotations

import errno
import tempfile
import traceback
from pathlib import Path

import httpx
import msgspec
from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError

from octospoon.domain.errors import OctospoonError, Refused

LOGS = Path(".octospoon/logs")
NO_REGION = "no AWS region is set: use --region or AWS_REGION, or set a region in your AWS profile"
_SIGN_IN = "sign in again, for example with `aws sso login`, and check --profile or AWS_PROFILE"
_RUNNING = "`octospoon up` starts the local stack again; for AWS, check the network and --region"
_LOGIN = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)
_UNREACHED = (
    aws.EndpointConnectionError,
    aws.ConnectTimeoutError,
    aws.ReadTimeoutError,
    aws.ConnectionClosedError,
    aws.ProxyConnectionError,
    aws.SSLError,
    aws.HTTPClientError,
)
_EXPIRED = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_DENIED = {
    "403",
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "UnauthorizedOperation",
}
_GONE = {
    "404",
    "NoSuchBucket",
    "NoSuchKey",
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "ResourceNotFoundException",
}
_FILES = {
    errno.ENOSPC: "the disk is full: free some space, and run the command again",
    errno.EDQUOT: "your quota of disk space is used up: free some space, and run the command again",
    errno.EROFS: "the file system is read-only: use a folder that can be written to",
    errno.EACCES: "permission is denied: see who owns it (was something run as root before?)",
    errno.EPERM: "permission is denied: see who owns it (was something run as root before?)",
    errno.EMFILE: "too many files are open: raise the limit with `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine: close some programs",
    errno.ENAMETOOLONG: "the name is too long: use a shorter one",
    errno.ENOENT: "there is no such file or folder",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EEXIST: "it exists already",
    errno.ELOOP: "its symbolic links form a loop",
    errno.EIO: "the disk reports an error",
}


def sentence(error: BaseException) -> str:
    """Return the sentence to show for an error."""
    if isinstance(error, Refused) and isinstance(error.__cause__, ClientError):
        return _refused(error.__cause__)
    if isinstance(error, OctospoonError):
        return f"{error}: {_RUNNING}" if isinstance(error.__cause__, _UNREACHED) else str(error)
    if isinstance(error, ClientError):
        return _refused(error)
    if isinstance(error, BotoCoreError):
        return _not_asked(error)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return f"this address cannot be called: {error}"
    if isinstance(error, httpx.HTTPError):
        return f"no answer ({type(error).__name__}): is the address right, and does the server run?"
    if isinstance(error, OSError) and error.errno is not None:
        return _file(error)
    if isinstance(error, msgspec.MsgspecError):
        return f"an answer or a file has the wrong format: {error}"
    return _unexpected(error)


def _refused(error: ClientError) -> str:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message, operation = str(error.response.get("Error", {}).get("Message", "")), error.operation_name
    if code in _EXPIRED:
        return f"AWS does not accept the sign-in ({code}): {_SIGN_IN}"
    if code in _DENIED:
        return f"AWS denies {operation} to this sign-in ({message or code}): ask for that permission"
    if code in _GONE:
        return (
            f"{operation} does not find what it needs ({message or code}): is it the right stack and region? "
            "`octospoon doctor` says what is missing"
        )
    return f"AWS refused {operation}: {message or code}"


def _not_asked(error: BotoCoreError) -> str:
    if isinstance(error, aws.NoRegionError):
        return NO_REGION
    if isinstance(error, aws.ProfileNotFound):
        return f"{error}: use one that `aws configure list-profiles` names, with --profile or AWS_PROFILE"
    if isinstance(error, _LOGIN):
        return f"there is no valid AWS sign-in ({error}): {_SIGN_IN}"
    if isinstance(error, _UNREACHED):
        return f"{error}: {_RUNNING}"
    return f"the request to AWS failed: {error}"


def _file(error: OSError) -> str:
    why = _FILES.get(error.errno or 0, error.strerror or str(error))
    names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{names}: {why}" if names else why


def _unexpected(error: BaseException) -> str:
    """Write the traceback to a file for developers; return a sentence that names the file."""
    text = "".join(traceback.format_exception(error))
    for folder in (LOGS, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "octospoon-error.txt"
            path.write_text(text)
        except OSError:
            continue
        return f"unexpected {type(error).__name__}: {error}; please report this with the file {path}"
    return f"unexpected {type(error).__name__}: {error}; please report this"

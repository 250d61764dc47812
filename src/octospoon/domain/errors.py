"""Every error that octospoon raises on purpose.

```
OctospoonError
├── RetryableError          try again later: the message goes back to its queue
│   ├── ServiceUnavailable  a service did not answer, throttled us, or answered 5xx
│   └── Conflict            somebody else changed the same item first
└── PermanentError          trying again cannot help: quarantine or dead-letter, with the reason
    ├── BadImage            the bytes are not a picture that we can score
    ├── BadModel            the model file breaks the model contract
    ├── OtherBackbone       a model that the pool's embeddings are of no use to
    ├── VersionTaken        a version number that another model has
    ├── BadRequest          a payload that we cannot read
    ├── Unauthorized        a missing or wrong secret
    └── NotConfigured       a setting is missing or contradicts another
```

Batch and dead-letter behaviour follow from the type alone.
"""

from __future__ import annotations


class OctospoonError(Exception):
    """The root of the tree: catch it to catch everything that octospoon raises on purpose."""


class RetryableError(OctospoonError):
    """Trying again later can help."""


class ServiceUnavailable(RetryableError):
    """A service did not answer, throttled us, or answered 5xx."""


class Conflict(RetryableError):
    """Somebody else changed the same item first."""


class PermanentError(OctospoonError):
    """Trying again cannot help."""


class BadImage(PermanentError):
    """The bytes are not a picture that can be scored.

    Attributes:
        reason: a short, stable code such as ``truncated`` or ``empty``, for counting and for alarms.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BadModel(PermanentError):
    """The model file breaks the model contract."""


class OtherBackbone(PermanentError):
    """The pool's embeddings are of no use to a model: another backbone made them."""


class VersionTaken(PermanentError):
    """A version number that another model has: what is stored under it is never replaced."""


class BadRequest(PermanentError):
    """A payload that cannot be read."""


class Unauthorized(PermanentError):
    """A missing or wrong secret."""


class NotConfigured(PermanentError):
    """A setting is missing or contradicts another."""

"""The errors that octospoon raises on purpose.

```
OctospoonError
├── RetryableError          try again later: the message goes back to its queue
│   ├── ServiceUnavailable  a service did not answer, throttled us, or answered 5xx
│   └── Conflict            another process changed the same item first
└── PermanentError          trying again cannot help: quarantine or dead-letter queue, with the reason
    ├── BadImage            the bytes are not an image that can be scored
    ├── BadModel            the model file breaks the model contract
    ├── OtherBackbone       another backbone made the pool's embeddings
    ├── VersionTaken        the version number belongs to another model
    ├── NoProgress          work that queues its own continuation gets nowhere
    ├── BadRequest          the payload cannot be read
    ├── Unauthorized        the secret is missing or wrong
    ├── TrainerFailed       the program of TrainerCommand failed, or made no usable model
    ├── Refused             a service refuses the request until a person changes a permission or a setting
    └── NotConfigured       a setting is missing or contradicts another
```

The type alone decides whether a message is retried, or goes to quarantine or the dead-letter queue.
"""

from __future__ import annotations


class OctospoonError(Exception):
    """Base class of every error that octospoon raises on purpose."""


class RetryableError(OctospoonError):
    """Trying again later can help."""


class ServiceUnavailable(RetryableError):
    """A service did not answer, throttled us, or answered 5xx."""


class Conflict(RetryableError):
    """Another process changed the same item first."""


class PermanentError(OctospoonError):
    """Trying again cannot help."""


class BadImage(PermanentError):
    """The bytes are not an image that can be scored.

    Attributes:
        reason: a short, stable code such as ``truncated`` or ``empty``, for counting and for alarms.
        detail: a sentence for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BadModel(PermanentError):
    """The model file breaks the model contract."""


class OtherBackbone(PermanentError):
    """The model cannot use the pool's embeddings, because another backbone made them."""


class VersionTaken(PermanentError):
    """The version number belongs to another model. A stored version is never replaced."""


class NoProgress(PermanentError):
    """Work that queues its own continuation gets nowhere, or takes too long."""


class BadRequest(PermanentError):
    """The payload cannot be read."""


class Unauthorized(PermanentError):
    """The secret is missing or wrong."""


class TrainerFailed(PermanentError):
    """The program of TrainerCommand failed, took too long, or made no usable model."""


class Refused(PermanentError):
    """A service refuses the request until a person changes a permission or a setting."""


class NotConfigured(PermanentError):
    """A setting is missing or contradicts another."""

"""The optional packages: the extras that install them, and the error if they are missing."""

from __future__ import annotations

from importlib.util import find_spec

from octospoon.domain.errors import NotConfigured

_IMAGES = ("PIL", "pi_heif")
_MODELS = (*_IMAGES, "onnx", "onnxruntime")
_SIMULATE = (*_MODELS, "matplotlib", "scipy", "sklearn", "threadpoolctl")
_PAGE = ("openTSNE", "starlette", "uvicorn")
MODULES = {
    "pictures": _IMAGES,
    "models": _MODELS,
    "simulate": _SIMULATE,
    "watch": ("watchfiles",),
    "ui": (*_IMAGES, *_PAGE),
    "local": (*_SIMULATE, *_PAGE, "yaml"),
    "parquet": ("pyarrow",),
    "labels": ("label_studio_sdk",),
}
"""What each extra of the command line lets Python import."""


def installed(extra: str) -> bool:
    """Return whether every package of an extra is installed."""
    return all(find_spec(module) is not None for module in MODULES[extra])


def require(extra: str, command: str) -> None:
    """Make sure that the packages of an extra are installed.

    Args:
        extra: its name, such as ``simulate``.
        command: needs it, such as ``octospoon simulate``.

    Raises:
        NotConfigured: a package is missing; the message says how to install it.
    """
    if not installed(extra):
        raise NotConfigured(f'`{command}` needs more packages: pip install "octospoon[{extra}]"')

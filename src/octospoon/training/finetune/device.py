"""Choose where fine-tuning computes: on a GPU, or on the processor."""

from __future__ import annotations

import logging
import warnings

import torch

from octospoon.domain.errors import NotConfigured

_log = logging.getLogger(__name__)


def chosen(setting: str) -> torch.device:
    """Return the device.

    Args:
        setting: ``cuda`` demands a GPU, ``cpu`` uses none, and ``auto`` uses one if it is visible.

    Raises:
        NotConfigured: a GPU is demanded, and none is visible.
    """
    if setting == "cpu":
        return torch.device("cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        visible = torch.cuda.is_available()
    if visible:
        return torch.device("cuda")
    # a driver that is too old is a warning
    why = "; ".join(
        [f"PyTorch {torch.__version__} sees no GPU", *(str(warning.message) for warning in caught)]
    )
    if setting == "cuda":
        raise NotConfigured(
            f"OCTOSPOON_DEVICE is cuda, but {why}: run the job on a machine with an NVIDIA GPU and a driver "
            f"for CUDA {torch.version.cuda or '(this PyTorch was built without it)'}, and give the container "
            "the GPU, or set OCTOSPOON_DEVICE=auto"
        )
    _log.info("fine-tuning computes on the processor: %s", why)
    return torch.device("cpu")


def described(device: torch.device) -> str:
    """Return the device for people, with the model of a GPU."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type

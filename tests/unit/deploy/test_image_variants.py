"""The variants of the training image, read from the Dockerfile and its pins: no engine builds it here."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from unit.deploy.intrinsics import ROOT

DOCKERFILE = (ROOT / "infra/training/Dockerfile").read_text()
PAGE = (ROOT / "docs/how-to/training-image.md").read_text()
MACHINE = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"} | {
    "python_version": "3.12",
    "python_full_version": "3.12.11",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}


def pinned(name: str, machine: str) -> dict[str, str]:
    """Return the packages that a requirements file installs into the image, with their versions."""
    text = (ROOT / f"infra/requirements/{name}.txt").read_text()
    found = map(Requirement, re.findall(r"^([a-z0-9][^\s]*==[^\\#\n]+)", text, re.MULTILINE))
    environment = MACHINE | {"platform_machine": machine}
    return {
        each.name: str(each.specifier).removeprefix("==")
        for each in found
        if each.marker is None or each.marker.evaluate(environment)
    }


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_variant_for_fine_tuning_has_pytorch_with_cuda(machine: str) -> None:
    packages = pinned("finetune", machine)
    cuda = packages["cuda-toolkit"]
    assert "+" not in packages["torch"], "the usual wheels have CUDA, others name what they have"
    libraries = {"nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-cufft", "triton"}
    assert libraries <= packages.keys()
    major, minor, *_ = cuda.split(".")
    assert f"CUDA {major}.{minor}" in PAGE
    # https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
    assert f"version {({'12': 525, '13': 580})[major]} or newer, as CUDA {major} needs" in PAGE


def test_usual_variant_has_neither() -> None:
    packages = pinned("training", "x86_64")
    assert not [name for name in packages if name.startswith(("torch", "nvidia", "cuda", "triton"))]
    assert "mlflow-skinny" in packages or "mlflow" in packages


def test_variant_is_a_build_argument_without_a_driver() -> None:
    assert "ARG REQUIREMENTS=training\n" in DOCKERFILE
    assert "COPY infra/requirements/${REQUIREMENTS}.txt /tmp/requirements.txt" in DOCKERFILE
    _, runtime = DOCKERFILE.split("COPY --from=packages")
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in DOCKERFILE.split("COPY --from=packages")[0]
    assert "USER trainer" in runtime
    assert "NVIDIA_VISIBLE_DEVICES" not in DOCKERFILE, "ECS says which GPU a container gets"

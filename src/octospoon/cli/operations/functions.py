"""The Lambda functions of a deployment."""

from __future__ import annotations

from typing import Literal, get_args

FunctionName = Literal["score", "rank", "webhook", "collect", "reconcile", "rescore", "watch", "predict"]
FUNCTIONS: tuple[FunctionName, ...] = get_args(FunctionName)
"""Every function, by its short name."""

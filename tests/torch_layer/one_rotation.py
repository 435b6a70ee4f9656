"""One rotation, of far positions that differ between sequences, and how to check it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ropelab
from tests.torch_layer.support import pair_error, qk, turned

__all__ = ["IDS", "INV_FREQ", "PATHS", "SPECTRUM", "check_rotated", "expected", "given"]

BASE = 500.0
SPECTRUM = ropelab.Rope(12, base=BASE).spectrum()
INV_FREQ = [BASE ** (-i / 6) for i in range(6)]
IDS = torch.tensor([[3, 70_001, 2, 131_071, 0], [-4, 9, 77_777, 5, 100_003]])
PATHS = pytest.mark.parametrize("requires_grad", [False, True], ids=["straight", "recorded"])


def expected(x: torch.Tensor) -> torch.Tensor:
    """Return the rotation of a tensor in float64."""
    return turned(x.detach(), IDS, INV_FREQ)


def check_rotated(made: tuple[torch.Tensor, ...], given: tuple[torch.Tensor, ...]) -> None:
    """Assert that tensors are the rotations of others."""
    for y, x in zip(made, given, strict=True):
        assert pair_error(y.detach(), expected(x)) <= 1.5


def given(**options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return queries and keys of float32."""
    return qk(**({"dtype": torch.float32} | options))

"""Rotations in float64 that share no code with ropelab, and tensors to be rotated."""

from __future__ import annotations

from typing import Any

import pytest
import torch

__all__ = ["FORMATS", "NOISE", "pair_error", "qk", "turned"]

# What torch says of its own interfaces is not ours to mend.
NOISE = pytest.mark.filterwarnings("ignore:::torch", "ignore:::copyreg")

# Where batch, sequence and heads are.
FORMATS = {"bshd": (0, 1, 2), "bhsd": (0, 2, 1), "sbhd": (1, 0, 2)}


def qk(
    tensor_format: str = "bshd",
    *,
    tokens: int = 5,
    head_dim: int = 12,
    seed: int = 0,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return queries of four heads and keys of two, of two sequences."""
    generator = torch.Generator().manual_seed(seed)
    axes = FORMATS[tensor_format]
    requires_grad = options.pop("requires_grad", False)
    made = []
    for heads in (4, 2):
        shape = [0, 0, 0, head_dim]
        for axis, length in zip(axes, (2, tokens, heads), strict=True):
            shape[axis] = length
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        made.append(x.to(**options).requires_grad_(requires_grad))
    return made[0], made[1]


def turned(
    x: torch.Tensor,
    position_ids: torch.Tensor,
    inv_freq: list[float],
    *,
    layout: str = "half",
    tensor_format: str = "bshd",
    inverse: bool = False,
    output_layout: str | None = None,
    rotary_offset: int = 0,
    factor: float = 1.0,
) -> torch.Tensor:
    """Turn pairs as complex numbers of float64."""
    angles = position_ids.double()[..., None] * torch.tensor(
        inv_freq, dtype=torch.float64, device=x.device
    )
    by_token = torch.polar(torch.full_like(angles, factor), -angles if inverse else angles)
    axes, n = FORMATS[tensor_format], len(inv_freq)
    given = x.double().permute(*axes, 3)  # batch, sequence, heads, channels
    source, target = (layout, output_layout or layout)[:: -1 if inverse else 1]
    first = [rotary_offset + (i if source == "half" else 2 * i) for i in range(n)]
    second = [rotary_offset + (i + n if source == "half" else 2 * i + 1) for i in range(n)]
    pairs = torch.complex(given[..., first], given[..., second])
    pairs = pairs * by_token.expand(*given.shape[:2], n)[:, :, None]
    made = given.clone()
    first = [rotary_offset + (i if target == "half" else 2 * i) for i in range(n)]
    second = [rotary_offset + (i + n if target == "half" else 2 * i + 1) for i in range(n)]
    made[..., first], made[..., second] = pairs.real, pairs.imag
    back = [0, 0, 0]
    for place, axis in enumerate(axes):
        back[axis] = place
    return made.permute(*back, 3)


def pair_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the worst error of a head over its largest channel, in eps of the dtype."""
    assert not actual.isnan().any()
    error = (actual.double() - expected).abs().amax(-1)
    worst: float = (error / expected.abs().amax(-1)).max().item() if error.numel() else 0.0
    return worst / torch.finfo(actual.dtype).eps

"""How far a rotation is from another, pair by pair."""

from __future__ import annotations

import torch


def rotated(
    x: torch.Tensor, angles: torch.Tensor, layout: str = "half", factor: float = 1.0
) -> torch.Tensor:
    """Turn the first pairs of the last axis by angles, in float64, as complex numbers."""
    d = 2 * angles.shape[-1]
    pairs = range(d // 2)
    first = list(pairs) if layout == "half" else [2 * i for i in pairs]
    second = [i + d // 2 for i in pairs] if layout == "half" else [2 * i + 1 for i in pairs]
    whole = x.double().clone()
    turned = torch.complex(whole[..., first], whole[..., second])
    turned = turned * torch.polar(torch.full_like(angles, factor), angles)
    whole[..., first], whole[..., second] = turned.real, turned.imag
    return whole


def worst_error(found: torch.Tensor, exact: torch.Tensor, layout: str = "half") -> float:
    """Return the largest distance of a pair over the pair's length, in eps of the found dtype."""
    d = exact.shape[-1]

    def length(y: torch.Tensor) -> torch.Tensor:
        if layout == "half":
            return torch.hypot(y[..., : d // 2], y[..., d // 2 :])
        return torch.hypot(y[..., ::2], y[..., 1::2])

    errors = length(found.double() - exact.double()) / length(exact.double())
    return float(errors.max()) / torch.finfo(found.dtype).eps

"""Rotation by complex numbers, and how far a rotation is from it; nothing here calls ropelab."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tests.ropelab.support import pair_norms

EPS = {torch.float64: 2.0**-52, torch.float32: 2.0**-23, torch.bfloat16: 2.0**-7}

# A pair of a result that is rounded once errs by at most half an eps of its norm. cos and sin of
# float32 tables err by half an eps each, which turns and stretches a pair by no more than that.
ROUNDED_ONCE = 0.51
ROUNDED_TABLES = 1.01


def ramp(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    """Return numbers of either sign, none of them zero."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (x + 0.1 * x.sign()).to(dtype)


def geometric(d: int, base: float) -> torch.Tensor:
    """Return base ** (-2 i / d) in float64."""
    return base ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)


def turned(x: torch.Tensor, angles: torch.Tensor, layout: str) -> torch.Tensor:
    """Turn each pair of channels by an angle, as a complex number, in float64."""
    x = x.detach().double()
    half = x.shape[-1] // 2
    if layout == "half":
        pairs = torch.complex(x[..., :half].contiguous(), x[..., half:].contiguous())
    else:
        pairs = torch.complex(x[..., 0::2].contiguous(), x[..., 1::2].contiguous())
    pairs = pairs * torch.polar(torch.ones_like(angles), angles)
    join = torch.cat if layout == "half" else lambda parts, dim: torch.stack(parts, dim).flatten(-2)
    return join((pairs.real, pairs.imag), -1)


def worst_pair(found: torch.Tensor, truth: torch.Tensor, layout: str) -> float:
    """Return the largest error of a pair over its norm, in eps of the dtype found."""
    errors: NDArray[np.float64] = (found.detach().double() - truth).numpy()
    ratio = pair_norms(errors, layout) / pair_norms(truth.numpy(), layout)
    return float(ratio.max()) / EPS[found.dtype]

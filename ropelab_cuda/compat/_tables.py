"""Cosines and sines as torch tensors, by the specification or by the kernel."""

from __future__ import annotations

import numpy as np
import torch

import ropelab
from ropelab import Spectrum

from ..phases import cos_sin as cos_sin_on_device

__all__ = ["cos_sin"]


@torch.compiler.disable  # type: ignore[untyped-decorator]  # NumPy is beyond Dynamo
def cos_sin(
    position_ids: torch.Tensor, spectrum: Spectrum, dtype: torch.dtype, *, angles: str = "exact"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosine and sine of each pair at each position, times the attention factor.

    Parameters
    ----------
    position_ids : torch.Tensor of int, any shape
        Positions in tokens, on the device where the results are wanted. On the meta device they
        say of which shape those are.
    spectrum : Spectrum
        Frequencies and attention factor.
    dtype : torch.dtype
        Of the results; narrow formats are rounded from float32, as the kernel does.
    angles : {"exact", "float32"}, default "exact"
        The angle pipeline; see `ropelab.cos_sin`.

    Returns
    -------
    cos, sin : torch.Tensor of `dtype`, shape position_ids.shape + (d/2,)
        One value a pair.

    Raises
    ------
    TypeError, ValueError
        As `ropelab.cos_sin` does.
    """
    if position_ids.is_cuda:
        cos, sin = cos_sin_on_device(position_ids, spectrum, angles=angles, dtype=dtype)
        return cos, sin
    if position_ids.is_meta:
        shape = (*position_ids.shape, spectrum.rotary_dim // 2)
        cos, sin = (torch.empty(shape, dtype=dtype, device="meta") for _ in range(2))
        return cos, sin
    wide = np.float64 if dtype == torch.float64 else np.float32
    made = ropelab.cos_sin(position_ids, spectrum, angles=angles, dtype=wide)
    cos, sin = (torch.from_numpy(table).to(dtype) for table in made)
    return cos, sin

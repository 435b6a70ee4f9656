"""How far frequencies that are computed in float32 may lie from the exact ones."""

import math

import numpy as np
from numpy.typing import NDArray

from ropelab import Rope
from ropelab.scaling import DynamicNTK, Llama3, LongRoPE, NTKAware, YaRN

EPS = 2.0**-23


def float32_tolerance(rope: Rope) -> NDArray[np.float64]:
    """Bound the relative error of Transformers' float32 frequencies."""
    d, scaling = rope.rotary_dim, rope.scaling
    i = np.arange(d // 2)
    # Two ulp for the power and its reciprocal. 2i/d is inexact unless d is a power of two, and the
    # power magnifies that half-ulp by ln(base ** (2i/d)).
    inexact = d & (d - 1) != 0
    bound = 2.0 * EPS + inexact * 2.0**-24 * math.log(rope.base) * 2 * i / d
    if isinstance(scaling, Llama3):
        # A blend subtracts r_low from seven roundings of half an ulp, tripled by its weight.
        plain = Rope(d, base=rope.base).spectrum().inv_freq
        ratio = rope.spectrum().inv_freq / plain
        return np.where((ratio < 1) & (ratio > 1 / scaling.factor), 8 * EPS, bound)
    if isinstance(scaling, YaRN):
        # A quotient, two products and a sum more; and the weight, which is off by up to w, counts
        # for (1 - 1/s) of the unscaled frequency. Without truncation its ends are rounded too.
        plain = Rope(d, base=rope.base).spectrum().inv_freq
        ratio = rope.spectrum().inv_freq / plain
        weight = 2.0**-23 if scaling.truncate else 2.0**-20
        blended = (ratio < 1 - 1e-12) & (ratio > (1 + 1e-12) / scaling.stretch(rope))
        return np.asarray(bound + 2 * EPS + blended * weight / ratio)
    if isinstance(scaling, LongRoPE):
        return np.asarray(bound + EPS)  # the list in float32, and a product
    if isinstance(scaling, (DynamicNTK, NTKAware)):
        # The base is a float32 too: two ulp of it, and the power takes at most all of them.
        return np.asarray(bound + 2 * EPS)
    return np.asarray(bound)

"""The original rule: a geometric progression of frequencies, unscaled."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .power import power

__all__ = ["Default", "geometric"]


@lru_cache(maxsize=256)
def geometric(rotary_dim: int, base: float) -> NDArray[np.float64]:
    r"""Frequencies of RoFormer's progression.

    .. math:: \omega_i = b^{-2i/d}, \qquad i = 0, \dots, d/2 - 1

    Parameters
    ----------
    rotary_dim : int
        Rotated channels d; even.
    base : float
        Base b; positive.

    Returns
    -------
    ndarray of float64, shape (d/2,)
        Radians per token, each correctly rounded; read-only.

    References
    ----------
    .. [1] Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021,
       arXiv:2104.09864, eq. 15 and section 3.3 (there i counts from 1).

    Examples
    --------
    >>> geometric(4, 10_000.0).tolist()
    [1.0, 0.01]
    """
    exponents = (Fraction(-2 * i, rotary_dim) for i in range(rotary_dim // 2))
    inv_freq = np.array([power(base, exponent) for exponent in exponents])
    inv_freq.flags.writeable = False
    return inv_freq


@dataclass(frozen=True)
class Default(Scaling):
    r"""Unscaled frequencies: :math:`\omega_i = b^{-2i/d}`.

    Used by Llama 2 and 3, Mistral, Qwen 2 and 3, Gemma, GPT-NeoX, GPT-J and most others. A larger
    base in continued training, called ABF (adjusted base frequency), is this rule too: CodeLlama
    (1e6), Llama 3 (5e5), Qwen 2 (1e6).

    References
    ----------
    .. [1] Su et al., "RoFormer", 2021, arXiv:2104.09864, eq. 15.

    Examples
    --------
    >>> from ropelab import Rope
    >>> Rope(4, scaling=Default()).spectrum().inv_freq.tolist()
    [1.0, 0.01]
    """

    rope_type: ClassVar[str] = "default"

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the unscaled spectrum; `seq_len` is not read."""
        return Spectrum(geometric(rope.rotary_dim, rope.base))

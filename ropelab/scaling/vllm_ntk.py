"""NTK-aware scaling in its "fixed" and "mixed" forms, as vLLM has them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from ..checks import finite_real
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric
from .power import power

__all__ = ["VLLMNTK"]


@dataclass(frozen=True)
class VLLMNTK(Scaling):
    r"""Every frequency divided by a power of the factor that grows with the pair.

    .. math:: \omega_i = b^{-2i/d}\, s^{-e_i}, \qquad
              e_i = \left(\frac{i + 1}{d/2}\right)^{\beta}

    The last frequency is divided by s; the first, unlike under `NTKAware`, is divided too. Without
    `mixed_b`, beta is 1, and this is the base b s with all frequencies divided by
    :math:`s^{2/d}` ("NTK-RoPE-fixed"); with it, "NTK-RoPE-mixed".

    Used by vLLM for ``rope_type`` "ntk".

    Parameters
    ----------
    factor : float
        The stretch s; positive.
    mixed_b : float, optional
        The exponent beta; positive. Below 1 it stretches fast pairs more.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] vLLM, ``NTKScalingRotaryEmbedding``.
    .. [2] Su, https://kexue.fm/archives/9706 (2023), which vLLM names as its source.

    Examples
    --------
    >>> from ropelab import Rope
    >>> Rope(4, scaling=VLLMNTK(4.0)).spectrum().inv_freq.tolist()
    [0.5, 0.0025]
    """

    rope_type: ClassVar[str] = "vllm_ntk"

    factor: float
    mixed_b: float | None = None

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))
        if self.mixed_b is not None:
            object.__setattr__(self, "mixed_b", finite_real(self.mixed_b, "mixed_b", above=0.0))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the divided frequencies; `seq_len` is not read."""
        pairs = rope.rotary_dim // 2
        exponents = [Fraction(i + 1, pairs) for i in range(pairs)]
        if self.mixed_b is not None:
            beta = Fraction(self.mixed_b)
            exponents = [Fraction(power(float(part), beta)) for part in exponents]
        divisors = np.array([power(self.factor, exponent) for exponent in exponents])
        return Spectrum(geometric(rope.rotary_dim, rope.base) / divisors)

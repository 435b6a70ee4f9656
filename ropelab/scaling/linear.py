"""Linear scaling, also called position interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checks import finite_real
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric

__all__ = ["Linear"]


@dataclass(frozen=True)
class Linear(Scaling):
    r"""Every frequency divided by one factor: :math:`\omega_i = b^{-2i/d} / s`.

    The same as dividing every position by s, which other codes do instead.

    Used by the full-attention layers of Gemma 3 from 4B on (8), LLaMA-2-7B-32K (8), Vicuna.

    Parameters
    ----------
    factor : float
        The stretch s; positive, and at least 1 in practice.

    Raises
    ------
    TypeError, ValueError
        If `factor` is not a positive number.

    References
    ----------
    .. [1] Chen et al., "Extending Context Window of Large Language Models via Positional
       Interpolation", 2023, arXiv:2306.15595, eq. 4.

    Examples
    --------
    >>> from ropelab import Rope
    >>> Rope(4, scaling=Linear(8.0)).spectrum().inv_freq.tolist()
    [0.125, 0.00125]
    """

    rope_type: ClassVar[str] = "linear"

    factor: float

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the divided frequencies; `seq_len` is not read."""
        return Spectrum(geometric(rope.rotary_dim, rope.base) / self.factor)

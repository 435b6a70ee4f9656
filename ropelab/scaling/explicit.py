"""Frequencies given as numbers, for ropes that follow no rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..checks import finite_real
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .per_pair import check_pairs, real_numbers

__all__ = ["ExplicitFrequencies"]


@dataclass(frozen=True)
class ExplicitFrequencies(Scaling):
    r"""The frequencies that are given; the rope's base is not read.

    .. math:: \omega_i = \mathrm{inv\_freq}_i

    For the ``inv_freq`` buffer of a model, learned frequencies, or those of pixels.

    Parameters
    ----------
    inv_freq : sequence of float, shape (d/2,)
        Radians per token; finite. A pair with 0 stands still, a negative one turns backwards.
    attention_factor : float, default 1.0
        Multiplies cos and sin; positive.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] Transformers, the ``inv_freq`` buffer of each rotary embedding.

    Examples
    --------
    >>> from ropelab import Rope
    >>> Rope(4, scaling=ExplicitFrequencies([3.0, 0.25])).spectrum().inv_freq.tolist()
    [3.0, 0.25]
    """

    rope_type: ClassVar[str] = "inv_freq"

    inv_freq: Sequence[float]  # a tuple from __post_init__ on
    attention_factor: float = 1.0

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "inv_freq", real_numbers(self.inv_freq, "inv_freq"))
        factor = finite_real(self.attention_factor, "attention_factor", above=0.0)
        object.__setattr__(self, "attention_factor", factor)

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the given numbers; `seq_len` is not read."""
        check_pairs(self.inv_freq, rope.rotary_dim, "inv_freq")
        return Spectrum(self.inv_freq, self.attention_factor)

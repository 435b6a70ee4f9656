"""p-RoPE: only the fastest pairs of the whole head turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..checks import finite_real
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric

__all__ = ["Proportional"]


@dataclass(frozen=True)
class Proportional(Scaling):
    r"""The fastest share of the pairs of the whole head; the others stand still.

    .. math:: \omega_i = \begin{cases} b^{-2i/D} / s & i < r \\ 0 & r \le i < D/2 \end{cases}
              \qquad r = \left\lfloor \lfloor pD \rfloor / 2 \right\rfloor

    The exponent's denominator is the head's width D, and pairs are those of the whole head: in the
    half layout channels i and i + D/2. Rotating the first p D channels, which is
    ``Rope(D, rotary_dim=p * D)``, differs in both.

    Called p-RoPE in the paper, ``proportional`` in Transformers. Used by the full-attention layers
    of Gemma 4 (0.25) and LFM3 (0.5). vLLM does not read `factor`.

    Parameters
    ----------
    partial_rotary_factor : float, default 1.0
        The share p of pairs that turn, 0 to 1; the product p D is rounded to float64, as in
        Transformers.
    factor : float, default 1.0
        The stretch s; positive.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] Barbero et al., "Round and Round We Go! What makes Rotary Positional Encodings useful?",
       2024, arXiv:2410.06205.
    .. [2] Transformers 5.24, modeling_rope_utils, "proportional".

    Examples
    --------
    >>> from ropelab import Rope
    >>> Rope(8, scaling=Proportional(0.5)).spectrum().inv_freq.tolist()
    [1.0, 0.1, 0.0, 0.0]
    """

    rope_type: ClassVar[str] = "proportional"

    partial_rotary_factor: float = 1.0
    factor: float = 1.0

    def __post_init__(self) -> None:
        """Validate."""
        share = finite_real(self.partial_rotary_factor, "partial_rotary_factor")
        if not 0.0 <= share <= 1.0:
            msg = f"partial_rotary_factor: expected a share from 0 to 1; got {share}"
            raise ValueError(msg)
        object.__setattr__(self, "partial_rotary_factor", share)
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies of the whole head; `seq_len` is not read."""
        if rope.rotary_dim != rope.head_dim:
            msg = (
                f"rotary_dim: Proportional pairs the channels of the whole head, so "
                f"head_dim = {rope.head_dim} was expected; got {rope.rotary_dim}; leave it out"
            )
            raise ValueError(msg)
        turning = int(self.partial_rotary_factor * rope.head_dim // 2)
        inv_freq = geometric(rope.head_dim, rope.base) / self.factor
        return Spectrum(np.where(np.arange(inv_freq.size) < turning, inv_freq, 0.0))

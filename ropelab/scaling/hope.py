"""HoPE: pairs too slow to turn once within the trained context do not turn at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..checks import positive_int
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric

__all__ = ["HoPE"]


@dataclass(frozen=True)
class HoPE(Scaling):
    r"""The frequencies that turn at least once in the trained context; the others stand still.

    .. math:: \omega_i = \begin{cases} b^{-2i/d} & b^{-2i/d} \ge 2\pi / L_0 \\
              0 & \text{otherwise} \end{cases}

    High-frequency rotary Position Encoding. That the paper makes the slow components independent
    of the position, and keeps the fast ones, was read in its abstract; the threshold is known from
    a review of it, not from its text. FoPE zeroes the same frequencies, and then learns more.

    Parameters
    ----------
    original_max_position_embeddings : int
        Length L0 of the training context, in tokens.

    Raises
    ------
    TypeError, ValueError
        If the length is not a positive integer.

    References
    ----------
    .. [1] Chen et al., "HoPE: A Novel Positional Encoding Without Long-Term Decay for Enhanced
       Context Awareness and Extrapolation", 2024, arXiv:2410.21216.

    Examples
    --------
    >>> from ropelab import Rope
    >>> turning = Rope(128, scaling=HoPE(4096)).spectrum().inv_freq > 0
    >>> int(turning.sum()), turning.size
    (46, 64)
    """

    rope_type: ClassVar[str] = "hope"

    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        """Validate."""
        name = "original_max_position_embeddings"
        object.__setattr__(self, name, positive_int(getattr(self, name), name))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the kept frequencies, and zeros; `seq_len` is not read."""
        inv_freq = geometric(rope.rotary_dim, rope.base)
        turns_once = inv_freq * self.original_max_position_embeddings >= 2.0 * np.pi
        return Spectrum(np.where(turns_once, inv_freq, 0.0))

"""Llama 3's rule: long wavelengths stretched, short ones kept, a blend between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..checks import finite_real, positive_int
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric

__all__ = ["Llama3"]


@dataclass(frozen=True)
class Llama3(Scaling):
    r"""Frequencies blended by how often they turn within the original context.

    With :math:`r_i = L_0\,\omega_i / 2\pi` rotations of pair i in the original length, and
    :math:`\omega_i = b^{-2i/d}`,

    .. math:: \omega'_i = (1 - t_i)\,\omega_i / s + t_i\,\omega_i, \qquad
              t_i = \mathrm{clip}\left(
              \frac{r_i - r_\mathrm{low}}{r_\mathrm{high} - r_\mathrm{low}}, 0, 1\right)

    so pairs that turn less than r_low times are divided by s, those that turn more than r_high
    times are kept. If r_low = r_high there is no blend, only the step.

    Used by Llama 3.1, 3.2 and 3.3, and Llama 4 Scout (1 and 1).

    Parameters
    ----------
    factor : float
        The stretch s; positive.
    low_freq_factor : float
        Rotations r_low up to which a pair is stretched fully.
    high_freq_factor : float
        Rotations r_high from which a pair is kept; at least `low_freq_factor`.
    original_max_position_embeddings : int
        Length L0 of the pre-training context, in tokens.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] Meta, llama-models, ``apply_scaling`` (July 2024); published with Llama 3.1.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rope = Rope(128, base=500_000.0, scaling=Llama3(8.0, 1.0, 4.0, 8192))
    >>> ratio = rope.spectrum().inv_freq / Rope(128, base=500_000.0).spectrum().inv_freq
    >>> int((ratio == 1).sum()), int((ratio == 1 / 8).sum())
    (29, 29)
    """

    rope_type: ClassVar[str] = "llama3"

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        """Validate."""
        for name in ("factor", "low_freq_factor", "high_freq_factor"):
            object.__setattr__(self, name, finite_real(getattr(self, name), name, above=0.0))
        length = positive_int(
            self.original_max_position_embeddings, "original_max_position_embeddings"
        )
        object.__setattr__(self, "original_max_position_embeddings", length)
        if self.high_freq_factor < self.low_freq_factor:
            msg = (
                f"high_freq_factor: expected at least low_freq_factor = {self.low_freq_factor}; "
                f"got {self.high_freq_factor}"
            )
            raise ValueError(msg)

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the blended frequencies; `seq_len` is not read."""
        inv_freq = geometric(rope.rotary_dim, rope.base)
        rotations = self.original_max_position_embeddings * inv_freq / (2.0 * np.pi)
        band = self.high_freq_factor - self.low_freq_factor
        above = rotations - self.low_freq_factor
        kept = np.clip(above / band, 0.0, 1.0) if band else (above > 0.0).astype(np.float64)
        return Spectrum((1.0 - kept) * (inv_freq / self.factor) + kept * inv_freq)

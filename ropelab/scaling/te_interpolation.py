"""Transformer Engine's interpolation: fixed up to a length, stretched with it beyond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checks import finite_real, positive_int
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric

__all__ = ["TransformerEngineInterpolation"]


@dataclass(frozen=True)
class TransformerEngineInterpolation(Scaling):
    r"""Frequencies divided by a factor, or past the length it reaches, by the length itself.

    .. math:: \omega_i = b^{-2i/d} \cdot \begin{cases}
              1 / f & L \le L_p f \\ L_p / L & L > L_p f \end{cases}

    so that no position ever goes past Lp. It divides short sequences too. Transformer Engine
    multiplies positions instead, and L is the length of the table it was asked for; given one of
    the two parameters alone it scales nothing, in silence, while Megatron divides by the factor at
    every length, which is `Linear`.

    Parameters
    ----------
    factor : float
        Called ``seq_len_interpolation_factor`` there, f; positive.
    pretrained_max_position_embeddings : int
        Length Lp of the pre-training context, in tokens.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] NVIDIA Transformer Engine, ``RotaryPositionEmbedding.forward``.
    .. [2] Chen et al., "Position Interpolation", 2023, arXiv:2306.15595, eq. 4.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rope = Rope(4, scaling=TransformerEngineInterpolation(4.0, 2048))
    >>> rope.spectrum(8192).inv_freq.tolist(), rope.spectrum(16384).inv_freq.tolist()
    ([0.25, 0.0025], [0.125, 0.00125])
    """

    rope_type: ClassVar[str] = "te_interpolation"
    depends_on_length: ClassVar[bool] = True

    factor: float
    pretrained_max_position_embeddings: int

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))
        name = "pretrained_max_position_embeddings"
        object.__setattr__(self, name, positive_int(getattr(self, name), name))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the divided frequencies; without `seq_len`, divided by the factor."""
        trained, stretch = self.pretrained_max_position_embeddings, self.factor
        if seq_len is not None and seq_len > trained * self.factor:
            stretch = seq_len / trained
        return Spectrum(geometric(rope.rotary_dim, rope.base) / stretch)

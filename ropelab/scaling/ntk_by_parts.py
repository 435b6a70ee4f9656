"""NTK-by-parts: YaRN's forerunner, with an NTK-aware band in the middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checks import finite_real, positive_int, real_within
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric
from .ntk import ntk_base
from .ramp import blend, check_rotations, correction_range, kept_share

__all__ = ["NTKByParts"]


@dataclass(frozen=True)
class NTKByParts(Scaling):
    r"""Two ramps: from interpolated to NTK-aware frequencies, and from those to unscaled ones.

    With :math:`\omega_i = b^{-2i/d}`, its interpolated form :math:`\omega_i / s`, and
    :math:`\nu_i` the frequencies of the base :math:`b\,s^{d/(d-2)}`,

    .. math:: x_i = (1 - u_i)\,\omega_i / s + u_i\,\nu_i, \qquad
              \omega'_i = (1 - v_i)\,x_i + v_i\,\omega_i

    where u falls from ntk_factor to 0 between the pairs that turn beta_0 and beta_1 times in the
    original length, and v from extrapolation_factor to 0 between gamma_0 and gamma_1 rotations.
    cos and sin stay unscaled.

    Used by experiments before YaRN, which dropped the band in the middle and added A. The paper
    gives the name to the first half of YaRN: for that, see `YaRNPaper`.

    Parameters
    ----------
    factor : float
        The stretch s; positive.
    original_max_position_embeddings : int
        Length of the pre-training context, in tokens.
    ntk_factor : float, default 1.0
        The largest weight of the NTK-aware frequencies; 0 to 1.
    extrapolation_factor : float, default 1.0
        The largest weight of the unscaled frequencies; 0 to 1.
    beta_0, beta_1 : float, default 1.25 and 0.75
        Rotations between which the first ramp falls; beta_0 at least beta_1.
    gamma_0, gamma_1 : float, default 16.0 and 2.0
        Rotations between which the second ramp falls; gamma_0 at least gamma_1.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] jquesnelle/yarn, scaled_rope/LlamaPartNTKScaledRotaryEmbedding.py.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rope = Rope(8, scaling=NTKByParts(4.0, 4096))
    >>> rope.spectrum().inv_freq.round(6).tolist()
    [1.0, 0.1, 0.006984, 0.00025]
    """

    rope_type: ClassVar[str] = "ntk_by_parts"

    factor: float
    original_max_position_embeddings: int
    ntk_factor: float = 1.0
    extrapolation_factor: float = 1.0
    beta_0: float = 1.25
    beta_1: float = 0.75
    gamma_0: float = 16.0
    gamma_1: float = 2.0

    def __post_init__(self) -> None:
        """Validate."""
        beta_0, beta_1 = check_rotations(self.beta_0, self.beta_1, ("beta_0", "beta_1"))
        gamma_0, gamma_1 = check_rotations(self.gamma_0, self.gamma_1, ("gamma_0", "gamma_1"))
        fields = {
            "factor": finite_real(self.factor, "factor", above=0.0),
            "original_max_position_embeddings": positive_int(
                self.original_max_position_embeddings, "original_max_position_embeddings"
            ),
            "ntk_factor": real_within(self.ntk_factor, "ntk_factor", 0.0, 1.0),
            "extrapolation_factor": real_within(
                self.extrapolation_factor, "extrapolation_factor", 0.0, 1.0
            ),
            "beta_0": beta_0,
            "beta_1": beta_1,
            "gamma_0": gamma_0,
            "gamma_1": gamma_1,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the twice blended frequencies; `seq_len` is not read."""
        d, length = rope.rotary_dim, self.original_max_position_embeddings
        unscaled = geometric(d, rope.base)
        aware = geometric(d, ntk_base(rope.base, self.factor, d))
        first = correction_range(rope, length, self.beta_0, self.beta_1)
        second = correction_range(rope, length, self.gamma_0, self.gamma_1)
        u = self.ntk_factor * kept_share(*first, d // 2)
        v = self.extrapolation_factor * kept_share(*second, d // 2)
        return Spectrum(blend(blend(unscaled / self.factor, aware, u), unscaled, v))

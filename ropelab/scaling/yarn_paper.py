"""YaRN, as its paper defines it: the ramp is linear in rotations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..checks import finite_real, positive_int
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .llama3 import Llama3
from .magnitude import yarn_magnitude
from .ramp import check_rotations

__all__ = ["YaRNPaper"]


@dataclass(frozen=True)
class YaRNPaper(Scaling):
    r"""The ramp of YaRN's paper, which is linear in rotations rather than in the pair index.

    With :math:`r_i = L_0\,\omega_i / 2\pi` rotations of pair i in the original length,

    .. math:: \omega'_i = (1 - \gamma_i)\,\omega_i / s + \gamma_i\,\omega_i, \qquad
              \gamma_i = \mathrm{clip}\left(\frac{r_i - \alpha}{\beta - \alpha}, 0, 1\right),
              \qquad A = 0.1 \ln s + 1

    The code published with the paper, and every model since, has the other ramp, `YaRN`: up to 4.28
    times faster for DeepSeek-V3 (pair 20). Llama 3's rule is this one with 4 and 1 rotations and
    without A.

    Used by no released model that is known here; it is what readers of the paper implement.

    Parameters
    ----------
    factor : float
        The stretch s; positive.
    original_max_position_embeddings : int
        Length L0 of the pre-training context, in tokens.
    beta_fast : float, default 32.0
        The paper's beta: rotations from which a pair is kept.
    beta_slow : float, default 1.0
        The paper's alpha: rotations up to which a pair is stretched fully; at most `beta_fast`.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] Peng et al., "YaRN", 2023, arXiv:2309.00071, sections 3.2 ("NTK-by-parts", the ramp)
       and 3.4 (the temperature).

    Examples
    --------
    >>> from ropelab import Rope
    >>> inv_freq = Rope(4, base=100.0, scaling=YaRNPaper(4.0, 64)).spectrum().inv_freq
    >>> inv_freq.round(6).tolist()
    [0.47224, 0.025045]
    """

    rope_type: ClassVar[str] = "yarn_paper"

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))
        length = positive_int(
            self.original_max_position_embeddings, "original_max_position_embeddings"
        )
        object.__setattr__(self, "original_max_position_embeddings", length)
        names = ("beta_fast", "beta_slow")
        rotations = check_rotations(self.beta_fast, self.beta_slow, names)
        for name, value in zip(names, rotations, strict=True):
            object.__setattr__(self, name, value)

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the blended frequencies; `seq_len` is not read."""
        ramp = Llama3(
            self.factor, self.beta_slow, self.beta_fast, self.original_max_position_embeddings
        )
        return replace(ramp.spectrum(rope), attention_factor=yarn_magnitude(self.factor))

"""What SGLang makes of a dynamic rule: the base of the longest text, for every text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checks import finite_real
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric
from .ntk import ntk_base

__all__ = ["SGLangDynamicNTK"]


@dataclass(frozen=True)
class SGLangDynamicNTK(Scaling):
    r"""NTK-aware scaling as `DynamicNTK` has it at s times the longest context, at any length.

    .. math:: b' = b \, \alpha^{d/(d-2)}, \qquad \alpha = s^2 - (s - 1)

    SGLang's reading of ``rope_type`` "dynamic". Texts that need no scaling are scaled as well: for
    base 1e4, 128 channels and s = 2 the lowest frequency is a third of the trained one.

    Parameters
    ----------
    factor : float
        The stretch s; positive.

    Raises
    ------
    TypeError, ValueError
        If `factor` is not a positive number.

    References
    ----------
    .. [1] SGLang, ``DynamicNTKScalingRotaryEmbedding``.

    Examples
    --------
    >>> from ropelab import Rope
    >>> Rope(4, scaling=SGLangDynamicNTK(2.0)).spectrum().inv_freq.round(9).tolist()
    [1.0, 0.003333333]
    """

    rope_type: ClassVar[str] = "sglang_dynamic"

    factor: float

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies of the larger base; `seq_len` is not read."""
        alpha = self.factor * self.factor - (self.factor - 1.0)
        base = ntk_base(rope.base, alpha, rope.rotary_dim)
        return Spectrum(geometric(rope.rotary_dim, base))

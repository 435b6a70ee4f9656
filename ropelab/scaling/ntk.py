"""NTK-aware scaling: a larger base instead of smaller frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from ..checks import finite_real
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric
from .power import power

__all__ = ["NTKAware", "ntk_alpha", "ntk_base"]


def ntk_base(base: float, alpha: float, rotary_dim: int) -> float:
    r"""Return the base that divides the lowest frequency by alpha and keeps the highest.

    .. math:: b' = b \, \alpha^{d/(d-2)}

    Parameters
    ----------
    base : float
        The model's base b.
    alpha : float
        The stretch of the longest wavelength.
    rotary_dim : int
        Rotated channels d; more than 2.

    Returns
    -------
    float
        The new base.

    Raises
    ------
    ValueError
        If there is only one pair, whose frequency no base can change, or the base overflows.

    Examples
    --------
    >>> round(ntk_base(10_000.0, 4.0, 128), 4)
    40889.9424
    """
    _check_pairs(rotary_dim)
    larger = base * power(alpha, Fraction(rotary_dim, rotary_dim - 2))
    if not 0.0 < larger < math.inf:
        msg = (
            f"alpha: expected a stretch whose base {base:g} * alpha**(d/(d-2)) is a float64; "
            f"got {alpha:g} with d = {rotary_dim}"
        )
        raise ValueError(msg)
    return larger


def ntk_alpha(base: float, larger: float, rotary_dim: int) -> float:
    r"""Return the stretch that makes one base of another, as `ntk_base` does.

    .. math:: \alpha = (b' / b)^{(d-2)/d}

    Parameters
    ----------
    base : float
        The model's base b; positive.
    larger : float
        The base b' that is wanted, such as a `ropelab.bands.critical_base`; positive.
    rotary_dim : int
        Rotated channels d; more than 2.

    Returns
    -------
    float
        The stretch of the longest wavelength, alpha.

    Raises
    ------
    TypeError, ValueError
        If a base is not a positive number, or there is only one pair.

    Examples
    --------
    >>> round(ntk_alpha(10_000.0, ntk_base(10_000.0, 4.0, 128), 128), 12)
    4.0
    """
    _check_pairs(rotary_dim)
    quotient = finite_real(larger, "larger", above=0.0) / finite_real(base, "base", above=0.0)
    quotient = finite_real(quotient, "larger / base", above=0.0)
    return power(quotient, Fraction(rotary_dim - 2, rotary_dim))


def _check_pairs(rotary_dim: int) -> None:
    if rotary_dim <= 2:
        msg = f"rotary_dim: NTK-aware scaling needs more than one pair; got rotary_dim {rotary_dim}"
        raise ValueError(msg)


@dataclass(frozen=True)
class NTKAware(Scaling):
    r"""Static NTK-aware scaling, by a larger base.

    .. math:: \omega_i = b'^{-2i/d}, \qquad b' = b\,\alpha^{d/(d-2)}

    The lowest frequency is divided by alpha, the highest stays.

    Used as ExLlamaV2's ``scale_alpha_value``, as vLLM's ``dynamic`` with an alpha, as the
    ``theta_rescale_factor`` of rotary-embedding-torch, and by HunYuan (alpha 1000).

    Parameters
    ----------
    alpha : float
        The stretch of the longest wavelength; positive.

    Raises
    ------
    TypeError, ValueError
        If `alpha` is not a positive number.

    References
    ----------
    .. [1] Peng et al., "YaRN", 2023, arXiv:2309.00071, section 3.1, "NTK-aware" interpolation.

    Examples
    --------
    >>> from ropelab import Rope
    >>> Rope(4, scaling=NTKAware(4.0)).spectrum().inv_freq.tolist()
    [1.0, 0.0025]
    """

    rope_type: ClassVar[str] = "ntk_alpha"

    alpha: float

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "alpha", finite_real(self.alpha, "alpha", above=0.0))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies of the larger base; `seq_len` is not read."""
        base = ntk_base(rope.base, self.alpha, rope.rotary_dim)
        return Spectrum(geometric(rope.rotary_dim, base))

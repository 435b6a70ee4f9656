"""How much larger cos and sin are made when a context is stretched; correctly rounded."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

from .power import DIGITS

__all__ = ["log_magnitude", "yarn_magnitude"]


def yarn_magnitude(stretch: float | Fraction, mscale: float = 1.0) -> float:
    r"""Return YaRN's factor of cos and sin, which never makes them smaller.

    .. math:: g(s, \mu) = 0.1\,\mu \ln s + 1, \qquad g = 1 \text{ for } s \le 1

    Parameters
    ----------
    stretch : float or Fraction
        The stretch s of the context.
    mscale : float, default 1.0
        DeepSeek's weight :math:`\mu` of the logarithm; at least 0.

    Returns
    -------
    float
        The nearest float64.

    References
    ----------
    .. [1] Peng et al., "YaRN", 2023, arXiv:2309.00071, section 3.4, the temperature.

    Examples
    --------
    >>> yarn_magnitude(4.0), yarn_magnitude(0.5)
    (1.138629436111989, 1.0)
    """
    return 1.0 if stretch <= 1 else log_magnitude(stretch, mscale)


def log_magnitude(stretch: float | Fraction, mscale: float = 1.0) -> float:
    r"""Return :math:`0.1\,\mu \ln s + 1` for every s, below 1 too.

    Parameters
    ----------
    stretch : float or Fraction
        The stretch s of the context; positive.
    mscale : float, default 1.0
        The weight :math:`\mu`.

    Returns
    -------
    float
        The nearest float64.

    Examples
    --------
    >>> log_magnitude(0.25)
    0.8613705638880109
    """
    s = Fraction(stretch)
    with localcontext() as context:
        context.prec = DIGITS
        logarithm = (Decimal(s.numerator) / s.denominator).ln()
        return float(Decimal(mscale) * logarithm / 10 + 1)

"""How much larger cos and sin are made when a context is stretched; correctly rounded."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

from .power import DIGITS

__all__ = ["log_magnitude", "su_magnitude", "yarn_magnitude"]


def su_magnitude(stretch: Fraction, original: int) -> float:
    r"""Return LongRoPE's attention factor, called "su" after the model it first came with.

    .. math:: A = \sqrt{1 + \ln s / \ln L_0}, \qquad A = 1 \text{ for } s \le 1

    Parameters
    ----------
    stretch : Fraction
        The stretch s of the context.
    original : int
        Length L0 of the pre-training context, in tokens; at least 2.

    Returns
    -------
    float
        The nearest float64.

    Examples
    --------
    >>> su_magnitude(Fraction(32), 4096)
    1.1902380714238083
    """
    if stretch <= 1:
        return 1.0
    with localcontext() as context:
        context.prec = DIGITS
        return float((1 + _decimal(stretch).ln() / Decimal(original).ln()).sqrt())


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
    with localcontext() as context:
        context.prec = DIGITS
        return float(Decimal(mscale) * _decimal(Fraction(stretch)).ln() / 10 + 1)


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / number.denominator

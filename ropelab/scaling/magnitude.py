"""How much larger cos and sin are made when a context is stretched; correctly rounded."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

from .power import DIGITS

__all__ = ["su_magnitude", "yarn_magnitude"]


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


def yarn_magnitude(stretch: Fraction) -> float:
    r"""Return YaRN's attention factor.

    .. math:: A = 0.1 \ln s + 1, \qquad A = 1 \text{ for } s \le 1

    Parameters
    ----------
    stretch : Fraction
        The stretch s of the context.

    Returns
    -------
    float
        The nearest float64.

    Examples
    --------
    >>> yarn_magnitude(Fraction(4))
    1.138629436111989
    """
    if stretch <= 1:
        return 1.0
    with localcontext() as context:
        context.prec = DIGITS
        return float(_decimal(stretch).ln() / 10 + 1)


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / number.denominator

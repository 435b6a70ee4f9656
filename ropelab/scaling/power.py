"""Real powers, correctly rounded, and so the same on every processor.

NumPy's and the C library's pow differ by an ulp between processors and versions. An ulp of a
frequency is 2e-7 radians at position 2**31, so the rules take their powers from here.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

__all__ = ["DIGITS", "power"]

# 17 digits name a float64; 45 leave no doubt about which of two neighbours is nearer.
DIGITS = 45


def power(base: float, exponent: Fraction) -> float:
    """Return ``base ** exponent`` rounded to the nearest float64.

    Parameters
    ----------
    base : float
        Positive.
    exponent : Fraction
        Any rational number.

    Returns
    -------
    float
        The nearest float64.

    Examples
    --------
    >>> power(10_000.0, Fraction(-1, 2))
    0.01
    """
    with localcontext() as context:
        context.prec = DIGITS
        return float(Decimal(base) ** (Decimal(exponent.numerator) / exponent.denominator))

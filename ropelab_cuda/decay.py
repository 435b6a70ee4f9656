"""The decay of xPos as its kernel takes it."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = ["Decay"]

# A double-double has 32 digits; the largest exponents have four before the point.
CONTEXT = Context(prec=45)
# Where the fastest decay is beyond any exponent after one token; finite, since a distance may be 0.
FASTEST = Decimal(2) ** 900


class Decay(NamedTuple):
    """How xPos scales.

    Parameters
    ----------
    scale_base : float
        Tokens after which a pair has decayed by its whole base.
    centre : int
        Position at which nothing is scaled.
    """

    scale_base: float
    centre: int

    def fill(self, target: Any) -> None:
        """Copy it into a structure.

        Parameters
        ----------
        target : ctypes.Structure
            The decay of one made by `parameters.rotary_xpos`.
        """
        target.centre = self.centre
        target.centre_word = self.centre % 2**64
        target.rate[:], target.rate_rest[:] = _rates(len(target.rate), self.scale_base)


@lru_cache(maxsize=64)
def _rates(pairs: int, scale_base: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return log2(zeta) / B of each pair, and what the rounding to float64 lost of it."""
    with localcontext(CONTEXT):
        unit = Decimal(scale_base) * Decimal(2).ln()
        exact = [(Decimal(10 * i + 4 * pairs) / (14 * pairs)).ln() / unit for i in range(pairs)]
        exact = [max(rate, -FASTEST) for rate in exact]
        rates = tuple(float(rate) for rate in exact)
        rests = tuple(
            float(rate - Decimal(rounded)) for rate, rounded in zip(exact, rates, strict=True)
        )
    return rates, rests

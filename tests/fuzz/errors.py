"""How far results may be from the specification in float64, which is not rounded to their dtype."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ropelab.golden.case import Array
from ropelab.layouts import pair_channels
from ropelab.precision import eps, format_name, widen

__all__ = [
    "BOUNDS",
    "SCALED",
    "Finding",
    "Rotated",
    "bound_of",
    "of_rotated",
    "same_bits",
    "unit_of",
]

# Errors of a pair over its norm, in eps of the dtype, against the specification in float64. The
# narrow formats round once, by half an eps, and float32 adds its own noise. float32 has no wider
# format to compute in: cos and sin to two ulp at most, and two roundings. Nor has float64, in which
# the specification itself rounds as well.
BOUNDS = {
    **dict.fromkeys(("float8_e5m2", "float8_e4m3fn", "bfloat16", "float16"), 0.51),
    "float32": 2.0,
    "float64": 3.0,
}


# A stored number is the product with the inverse of its scale: each rounds by half an eps, which a
# narrow format, rounded from a wider one, does not notice.
SCALED = {"float32": 1.0, "float64": 1.0}


def bound_of(unit: str, *, scaled: bool) -> float:
    """Return how far a pair may be off, in eps of a format."""
    return BOUNDS[unit] + (SCALED.get(unit, 0.0) if scaled else 0.0)


class Finding(NamedTuple):
    """The worst error of a result, and how large it may be, in eps of a format."""

    unit: str
    error: float
    bound: float


class Rotated(NamedTuple):
    """Which channels of a result are rotated, and how their pairs lie."""

    layout: str
    rotary_dim: int
    offset: int

    def pairs(self, x: Array) -> tuple[Array, Array]:
        """Return the first and the second members of all pairs."""
        if not self.rotary_dim:
            return x[..., :0], x[..., :0]
        rotated = x[..., self.offset : self.offset + self.rotary_dim]
        first, second = pair_channels(self.layout, self.rotary_dim)
        return rotated[..., first], rotated[..., second]

    def others(self, x: Array) -> list[Array]:
        """Return the channels before and behind."""
        return [x[..., : self.offset], x[..., self.offset + self.rotary_dim :]]


def unit_of(stored: str, dtype: str) -> str:
    """Return the format in whose eps errors count: of the results or of the arithmetic."""
    return max(stored, "float64" if dtype == "float64" else "float32", key=eps)


def of_rotated(
    came: Array,
    got: Array,
    want: Array,
    rotated: Rotated,
    unit: str,
    *,
    bits: bool,
    floor: float = 0.0,
) -> float:
    """Return the worst error of a result, in eps: of its pairs, and of the channels that pass.

    Parameters
    ----------
    came, got, want : Array
        The tensor as it was, the result, and what it should be before rounding.
    rotated : Rotated
        Which channels of the result are rotated.
    unit : str
        In whose eps to count.
    bits : bool
        Whether channels that pass keep their bits; else they are numbers like the others.
    floor : float
        The least that a pair's error is divided by, else its norm.

    Returns
    -------
    float
        Over the norm of the pair, or the size of a channel that passes as a number.
    """
    assert got.shape == want.shape
    numbers = widen(got)
    assert not np.isnan(numbers).any(), "NaN: not written, or read from outside"
    (a, b), (x, y) = rotated.pairs(numbers), rotated.pairs(want)
    worst = _worst((a - x) ** 2 + (b - y) ** 2, np.maximum(x * x + y * y, floor**2))
    if bits:
        for passed, old in zip(rotated.others(got), rotated.others(came), strict=True):
            same_bits(passed, old, "channels that pass")
    else:
        for passed, true in zip(rotated.others(numbers), rotated.others(want), strict=True):
            worst = max(worst, _worst((passed - true) ** 2, true * true))
    return worst / eps(unit)


def same_bits(got: Array, want: Array, what: str) -> None:
    """Raise AssertionError unless two arrays hold the same bits."""
    assert format_name(got.dtype) == format_name(want.dtype), what
    assert got.shape == want.shape, what
    assert got.tobytes() == want.tobytes(), f"{what}: other bits than they should be"


def _worst(squares: Array, sizes: Array) -> float:
    """Return the root of the largest share of a square in its size; none is none of nothing."""
    shares = np.divide(squares, sizes, out=np.zeros_like(squares), where=squares > 0.0)
    return float(np.sqrt(shares.max(initial=0.0)))

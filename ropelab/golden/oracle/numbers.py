"""Numbers of the oracle: mpmath in, bits of a format out, one rounding."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

__all__ = ["PRECISION_BITS", "Complex", "Real", "exactly", "from_bits", "mp", "rounded"]

PRECISION_BITS = 256
mp: Any = mpmath.mp.clone()
mp.prec = PRECISION_BITS
Real = Any  # mpmath is untyped: a real number of that precision
Complex = Any

# significant bits, smallest normal exponent, storage
_FORMATS = {
    "float64": (53, -1022, np.uint64),
    "float32": (24, -126, np.uint32),
    "float16": (11, -14, np.uint16),
    "bfloat16": (8, -126, np.uint16),
    "float8_e4m3fn": (4, -6, np.uint8),
    "float8_e5m2": (3, -14, np.uint8),
}
# What is too large for a format becomes infinite, or the largest number: S.1111.110 is 448 in one
# 8-bit format, S.11110.11 is 57344 in the other.
_SATURATED = {"float8_e4m3fn": 0b1111_110, "float8_e5m2": 0b11110_11}


def exactly(value: float) -> Real:
    """Return the rational number that a float is."""
    ratio = Fraction(value)
    return mp.mpf(ratio.numerator) / ratio.denominator


def rounded(values: list[Real], dtype: str) -> NDArray[Any]:
    """Return the bits of the nearest numbers of a format, ties to even."""
    storage = _FORMATS[dtype][2]
    return np.array([_bits(value, dtype) for value in values], storage)


def from_bits(bits: NDArray[Any], dtype: str) -> list[Real]:
    """Return the numbers that bits of a format stand for, flattened."""
    return [_number(int(word), dtype) for word in bits.ravel()]


def _bits(value: Real, dtype: str) -> int:
    significant, lowest, storage = _FORMATS[dtype]
    width = 8 * np.dtype(storage).itemsize
    sign = 1 << (width - 1) if value < 0 else 0
    if value == 0:
        return sign
    magnitude = abs(value)
    exponent = max(int(mp.frexp(magnitude)[1]) - 1, lowest)
    # In units of the last place; a carry into the next binade is still the right integer, because
    # consecutive encodings are consecutive numbers.
    steps = int(mp.nint(mp.ldexp(magnitude, significant - 1 - exponent)))
    encoding = ((exponent - lowest) << (significant - 1)) + steps
    infinity = ((1 << (width - significant)) - 1) << (significant - 1)
    return sign | min(encoding, _SATURATED.get(dtype, infinity))


def _number(word: int, dtype: str) -> Real:
    significant, lowest, storage = _FORMATS[dtype]
    width = 8 * np.dtype(storage).itemsize
    negative = word >> (width - 1)
    encoding = word & ((1 << (width - 1)) - 1)
    biased = encoding >> (significant - 1)
    fraction = encoding & ((1 << (significant - 1)) - 1)
    if biased:
        fraction += 1 << (significant - 1)
        biased -= 1
    magnitude = mp.ldexp(fraction, biased + lowest - (significant - 1))
    return -magnitude if negative else magnitude

"""The two 8-bit formats in which caches of keys and values are kept.

==============  ================  =======  ===================  =======  ==========================
format          sign, exponent,   largest  smallest             eps      beside numbers
                fraction bits
==============  ================  =======  ===================  =======  ==========================
float8_e4m3fn   1, 4, 3           448      2**-9                2**-3    NaN, all seven bits set
float8_e5m2     1, 5, 2           57344    2**-16               2**-2    NaN, infinity
==============  ================  =======  ===================  =======  ==========================

(Micikevicius et al., FP8 Formats for Deep Learning, 2022, arXiv:2209.05433, table 1.) NumPy has
neither, so an array is one of ``ml_dtypes``, recognised by its name, or raw bits of a dtype below.

Both are the upper part of a float16: e5m2 as it is, e4m3fn but for a factor of 256, since the bias
of its exponent is smaller by 8 than that of float16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST", "bits_of_float8", "float8_e4m3fn", "float8_e5m2", "numbers_of_float8"]

float8_e4m3fn = np.dtype([("float8_e4m3fn", "u1")])
"""Raw bits: ``bits.view(ropelab.float8_e4m3fn)`` of any uint8 array; see `ropelab.widen`."""

float8_e5m2 = np.dtype([("float8_e5m2", "u1")])
"""Raw bits: ``bits.view(ropelab.float8_e5m2)`` of any uint8 array; see `ropelab.widen`."""

LARGEST = {"float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}


def bits_of_float8(numbers: NDArray[np.float64], name: str) -> NDArray[np.uint8]:
    """Return the bits of numbers that a format holds.

    Parameters
    ----------
    numbers : ndarray of float64
        Numbers of the format, or NaN.
    name : {"float8_e4m3fn", "float8_e5m2"}
        The format.

    Returns
    -------
    ndarray of uint8, same shape
        Their bits; a NaN keeps its sign.

    Examples
    --------
    >>> bits_of_float8(np.array([1.0, -448.0, 2.0**-9]), "float8_e4m3fn").tolist()
    [56, 254, 1]
    """
    if name == "float8_e5m2":
        return (numbers.astype(np.float16).view(np.uint16) >> 8).astype(np.uint8)
    halves = (numbers / 256.0).astype(np.float16).view(np.uint16)
    magnitudes = np.where(np.isnan(numbers), 0x7F, halves >> 7 & 0x7F)
    return (halves >> 8 & 0x80 | magnitudes).astype(np.uint8)


def numbers_of_float8(bits: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return the numbers that bits of a format stand for.

    Parameters
    ----------
    bits : ndarray of uint8
        Any bits.
    name : {"float8_e4m3fn", "float8_e5m2"}
        The format.

    Returns
    -------
    ndarray of float64, same shape
        The numbers, exactly.

    Examples
    --------
    >>> numbers_of_float8(np.array([56, 254, 1], np.uint8), "float8_e4m3fn").tolist()
    [1.0, -448.0, 0.001953125]
    """
    words = bits.astype(np.uint16)
    if name == "float8_e5m2":
        return (words << 8).view(np.float16).astype(np.float64)
    halves = (words & 0x80) << 8 | (words & 0x7F) << 7
    numbers = halves.view(np.float16).astype(np.float64) * 256.0
    return np.where(words & 0x7F == 0x7F, np.copysign(np.nan, numbers), numbers)

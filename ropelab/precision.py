"""Floating-point formats: widening, which is exact, and narrowing, which rounds once.

NumPy has no bfloat16. A bfloat16 array is here either an ``ml_dtypes.bfloat16`` array, recognised
by its name, or one of the dtype `bfloat16` below, whose only field holds the raw bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["bfloat16", "eps", "float_dtype", "narrow", "widen"]

bfloat16 = np.dtype([("bfloat16", "<u2")])
"""Raw bfloat16 bits: ``bits.view(ropelab.bfloat16)`` of any uint16 array.

Not a number to NumPy, whose astype would take the bits for an integer: use `widen`.
"""

_SIGNIFICANT_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


def _name(dtype: np.dtype[Any]) -> str:
    """Return "bfloat16" for both spellings of it, else NumPy's name."""
    return "bfloat16" if dtype == bfloat16 else dtype.name


def float_dtype(dtype: DTypeLike, name: str = "dtype") -> np.dtype[Any]:
    """Return the NumPy dtype, or raise TypeError unless it is one of the four formats.

    Parameters
    ----------
    dtype : dtype-like
        float64, float32, float16, `bfloat16`, or a dtype whose name is "bfloat16".
    name : str
        The argument's name, for the message.

    Returns
    -------
    numpy.dtype
        The same format.

    Raises
    ------
    TypeError
        For any other dtype.
    """
    found = _dtype(dtype)
    if found is None or _name(found) not in _SIGNIFICANT_BITS or not found.isnative:
        msg = (
            f"{name}: expected float64, float32, float16 or bfloat16 in native byte order; "
            f"got {dtype if found is None else found}; convert it first"
        )
        raise TypeError(msg)
    return found


def _dtype(dtype: object) -> np.dtype[Any] | None:
    """Return the NumPy dtype, or None for what NumPy has no dtype for."""
    if isinstance(dtype, str) and dtype == "bfloat16":
        return bfloat16
    if dtype is None:  # float64 to NumPy, which nobody asked for
        return None
    try:
        return np.dtype(dtype)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError, SyntaxError):
        return None


def eps(dtype: DTypeLike) -> float:
    """Return the distance from 1 to the next number of a format.

    Parameters
    ----------
    dtype : dtype-like
        One of the four formats.

    Returns
    -------
    float
        ``2 ** (1 - p)`` for ``p`` significant bits.

    Examples
    --------
    >>> eps("bfloat16"), eps("float16")
    (0.0078125, 0.0009765625)
    """
    return 2.0 ** (1 - _SIGNIFICANT_BITS[_name(float_dtype(dtype))])


def widen(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the values as float64, exactly.

    Parameters
    ----------
    values : ndarray of any of the four formats
        The numbers.

    Returns
    -------
    ndarray of float64, same shape
        The same numbers.

    Raises
    ------
    TypeError
        If it is no array of one of these formats.

    Examples
    --------
    >>> widen(np.array([0x3FC0], np.uint16).view(bfloat16)).tolist()
    [1.5]
    """
    float_dtype(getattr(values, "dtype", "object"), "values")
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        if _name(values.dtype) != "bfloat16":
            return values.astype(np.float64)
        bits = values.view(np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).astype(np.float64)


def narrow(values: NDArray[np.float64], dtype: DTypeLike) -> NDArray[Any]:
    """Round float64 values to a format, once, to nearest with ties to even.

    Parameters
    ----------
    values : ndarray of float64
        The numbers.
    dtype : dtype-like
        One of the four formats.

    Returns
    -------
    ndarray of that format, same shape
        The nearest numbers; beyond the format's range, infinity.

    Examples
    --------
    >>> narrow(np.array([1.00390625, 1.01171875]), "bfloat16").view(np.uint16).tolist()
    [16256, 16258]
    """
    target = float_dtype(dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if _name(target) != "bfloat16":
            return values.astype(target)
        # Not through float32, which would round twice. The last place of a bfloat16 in
        # [2**e, 2**(e+1)) is 2**(e-7); subnormals share that of e = -126.
        exponent = np.maximum(np.frexp(values)[1] - 1, -126) - 7
        nearest = np.ldexp(np.rint(np.ldexp(values, -exponent)), exponent)
        bits = nearest.astype(np.float32).view(np.uint32) >> 16
    rounded: NDArray[Any] = bits.astype(np.uint16).view(target)
    return rounded

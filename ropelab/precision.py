"""Floating-point formats: widening, which is exact, and narrowing, which rounds once.

Tensors come in four formats: float64, float32, float16, bfloat16. Results may be stored in two
more, of 8 bits (`ropelab.float8`). NumPy has no bfloat16. A bfloat16 array is here either an
``ml_dtypes.bfloat16`` array, recognised by its name, or one of the dtype `bfloat16` below, whose
only field holds the raw bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .float8 import LARGEST, bits_of_float8, float8_e4m3fn, float8_e5m2, numbers_of_float8

__all__ = [
    "RAW",
    "bfloat16",
    "eps",
    "float_dtype",
    "format_name",
    "narrow",
    "stored_dtype",
    "widen",
]

bfloat16 = np.dtype([("bfloat16", "<u2")])
"""Raw bfloat16 bits: ``bits.view(ropelab.bfloat16)`` of any uint16 array.

Not a number to NumPy, whose astype would take the bits for an integer: use `widen`.
"""

# Formats that NumPy has no numbers for.
RAW: Mapping[str, np.dtype[Any]] = {
    "bfloat16": bfloat16,
    "float8_e4m3fn": float8_e4m3fn,
    "float8_e5m2": float8_e5m2,
}
_FORMATS = ("float64", "float32", "float16", "bfloat16")
# Significant bits, and the smallest exponent of a normal number, of what NumPy cannot round to.
_GRIDS = {"bfloat16": (8, -126), "float8_e4m3fn": (4, -6), "float8_e5m2": (3, -14)}
_SIGNIFICANT_BITS = {"float64": 53, "float32": 24, "float16": 11} | {
    name: grid[0] for name, grid in _GRIDS.items()
}


def format_name(dtype: np.dtype[Any]) -> str:
    """Return NumPy's name of a dtype; for raw bits, that of their format."""
    raw = dtype.names[0] if dtype.names else ""
    return raw if raw in RAW and RAW[raw] == dtype else dtype.name


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
    return _one_of(_FORMATS, dtype, name)


def stored_dtype(dtype: DTypeLike, name: str = "dtype") -> np.dtype[Any]:
    """Return the NumPy dtype, or raise TypeError unless numbers may be stored in it.

    Parameters
    ----------
    dtype : dtype-like
        One of the four formats, `float8_e4m3fn`, `float8_e5m2`, or a dtype of such a name.
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
    return _one_of((*_FORMATS, *LARGEST), dtype, name)


def _one_of(formats: tuple[str, ...], dtype: DTypeLike, name: str) -> np.dtype[Any]:
    found = _dtype(dtype)
    if found is None or format_name(found) not in formats or not found.isnative:
        came = dtype if found is None else found
        if found is not None and format_name(found) in RAW:
            came = format_name(found)
        msg = (
            f"{name}: expected {', '.join(formats[:-1])} or {formats[-1]} in native byte order; "
            f"got {came}; convert it first"
        )
        raise TypeError(msg)
    return found


def _dtype(dtype: object) -> np.dtype[Any] | None:
    """Return the NumPy dtype, or None for what NumPy has no dtype for."""
    if isinstance(dtype, str) and dtype in RAW:
        return RAW[dtype]
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
        As in `stored_dtype`.

    Returns
    -------
    float
        ``2 ** (1 - p)`` for ``p`` significant bits.

    Examples
    --------
    >>> eps("bfloat16"), eps("float16")
    (0.0078125, 0.0009765625)
    """
    return 2.0 ** (1 - _SIGNIFICANT_BITS[format_name(stored_dtype(dtype))])


def widen(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the values as float64, exactly.

    Parameters
    ----------
    values : ndarray of float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2
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
    name = format_name(stored_dtype(getattr(values, "dtype", "object"), "values"))
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        if name in LARGEST:
            return numbers_of_float8(values.view(np.uint8), name)
        if name != "bfloat16":
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
        As in `stored_dtype`.

    Returns
    -------
    ndarray of that format, same shape
        The nearest numbers. What lies beyond the range becomes infinite; in the 8-bit formats it
        becomes the largest finite number, and so does an infinity, as CUDA's saturating
        conversion has it. (ml_dtypes, and ``tensor.to(torch.float8_e4m3fn)`` of torch, make it NaN
        or infinite.) A NaN stays one.

    Examples
    --------
    >>> narrow(np.array([1.00390625, 1.01171875]), "bfloat16").view(np.uint16).tolist()
    [16256, 16258]
    >>> widen(narrow(np.array([0.3, -1e9]), "float8_e4m3fn")).tolist()
    [0.3125, -448.0]
    """
    target = stored_dtype(dtype)
    name = format_name(target)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if name not in _GRIDS:
            return values.astype(target)
        nearest = _nearest(values, *_GRIDS[name])
        if name in LARGEST:
            clipped = np.clip(nearest, -LARGEST[name], LARGEST[name])
            return bits_of_float8(clipped, name).view(target)
        bits = nearest.astype(np.float32).view(np.uint32) >> 16
    rounded: NDArray[Any] = bits.astype(np.uint16).view(target)
    return rounded


def _nearest(values: NDArray[np.float64], significant: int, lowest: int) -> NDArray[np.float64]:
    """Return the nearest numbers of so many significant bits; subnormal ones share a last place."""
    # Not through a narrower type of NumPy's, which would round twice.
    exponent = np.maximum(np.frexp(values)[1] - 1, lowest) - (significant - 1)
    nearest: NDArray[np.float64] = np.ldexp(np.rint(np.ldexp(values, -exponent)), exponent)
    return nearest

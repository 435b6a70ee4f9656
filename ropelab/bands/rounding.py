"""What a number format does to positions and angles: which collapse, and how far they err."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..arrays import as_integers
from ..checks import check_position_axes, check_rope, integer, positive_int
from ..phases import cos_sin_values, positions_by_pair
from ..precision import eps, float_dtype, narrow, widen
from ..rope import Rope

__all__ = ["angle_errors", "distinct_positions", "first_alias"]

_LARGEST = 2**53  # whole numbers that float64 holds, which formats are rounded from


def first_alias(dtype: DTypeLike = "bfloat16") -> int:
    r"""First position that a format rounds to the one before it.

    .. math:: 2^p + 1

    for p significant bits: it lies halfway between two numbers of the format, and ties go to even.

    Parameters
    ----------
    dtype : dtype-like, default "bfloat16"
        float64, float32, float16 or bfloat16.

    Returns
    -------
    int
        Tokens.

    Raises
    ------
    TypeError
        For any other dtype.

    References
    ----------
    .. [1] Wang et al., "When Precision Meets Position: BFloat16 Breaks Down RoPE in Long-Context
       Training", 2024, arXiv:2411.13476.

    Examples
    --------
    >>> first_alias("bfloat16"), first_alias("float16"), first_alias("float32")
    (257, 2049, 16777217)
    """
    significant = 1 - round(math.log2(eps(float_dtype(dtype))))
    return int(2**significant) + 1


def distinct_positions(first: int, count: int, dtype: DTypeLike = "bfloat16") -> int:
    """Count the numbers that consecutive positions become in a format.

    Parameters
    ----------
    first : int
        The first position, in tokens; not negative.
    count : int
        How many positions; positive.
    dtype : dtype-like, default "bfloat16"
        float64, float32, float16 or bfloat16. What lies beyond its range becomes infinite, which
        counts as one number.

    Returns
    -------
    int
        `count` where none collapse.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If one has another range, or the positions pass 2**53.

    References
    ----------
    .. [1] Wang et al., "When Precision Meets Position", 2024, arXiv:2411.13476.

    Examples
    --------
    >>> [distinct_positions(first, 512) for first in (0, 4096, 131_072)]
    [385, 17, 1]
    """
    target = float_dtype(dtype)
    start, number = integer(first, "first"), positive_int(count, "count")
    if number > _LARGEST:
        msg = f"count: expected at most 2**53, so that all positions are exact; got {number}"
        raise ValueError(msg)
    if start < 0 or start + number > _LARGEST:
        msg = f"first: expected 0 to 2**53 - {number}, so that all positions are exact; got {start}"
        raise ValueError(msg)
    end, exact = start + number, first_alias(target) - 1  # whole numbers are exact up to there
    found = max(min(end, exact) - start, 0)
    if end > exact:  # every number of the format that lies between is met; its bits count them
        ends = narrow(np.array([max(start, exact), end - 1], np.float64), target)
        low, high = ends.view(f"u{ends.itemsize}").tolist()
        found += high - low + 1
    return int(found)


def angle_errors(
    rope: Rope,
    positions: ArrayLike,
    *,
    positions_in: DTypeLike = np.float32,
    frequencies_in: DTypeLike = np.float32,
    angles_in: DTypeLike = np.float32,
    seq_len: int | None = None,
) -> NDArray[np.float64]:
    r"""How far each pair's angle is off at each position, if computed in given formats.

    .. math:: \left| \mathrm{round}(\mathrm{round}(m)\,\mathrm{round}(\omega_i)) - m\,\omega_i
              \right| \text{ on the circle}

    with three roundings to three formats. The defaults are what Transformers does; positions in
    bfloat16 are what a model cast as a whole does, and frequencies in bfloat16 what a cast buffer
    does. The error grows with the position and is the larger the faster the pair.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    positions : array-like of int, any shape
        Positions m in tokens, up to 2**53; if the rope has several position axes, the first axis
        counts them.
    positions_in, frequencies_in, angles_in : dtype-like, default float32
        Formats of the positions, the frequencies and their products.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of float64, shape positions.shape + (d/2,)
        Radians, from 0 to :math:`\pi`; NaN where a format overflows.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If the positions pass 2**53 or lack the rope's axes.

    References
    ----------
    .. [1] Wang et al., "When Precision Meets Position", 2024, arXiv:2411.13476;
       EleutherAI/gpt-neox#1003 for float16 angles.

    Examples
    --------
    >>> from ropelab import Rope
    >>> float(angle_errors(Rope(128), 131_072).max().round(4))
    0.0039
    >>> float(angle_errors(Rope(128), 4097, positions_in="bfloat16").max().round(4))
    1.0
    """
    check_rope(rope)
    spectrum = rope.spectrum(seq_len)
    given = as_integers(positions, "positions")
    if given.size and max(-int(given.min()), int(given.max())) > _LARGEST:
        msg = "positions: expected integers up to 2**53, which float64 holds; got larger ones"
        raise ValueError(msg)
    check_position_axes(given.shape, spectrum.position_axes, name="positions")
    by_pair = positions_by_pair(given, spectrum).astype(np.float64)
    rounded = _round(by_pair, positions_in, "positions_in")
    inv_freq = _round(spectrum.inv_freq, frequencies_in, "frequencies_in")
    with np.errstate(invalid="ignore", over="ignore"):
        angles = _round(rounded * inv_freq, angles_in, "angles_in")
        turned = np.exp(1j * angles)
    cos, sin = cos_sin_values(given, replace(spectrum, attention_factor=1.0), "exact")
    return np.asarray(np.abs(np.angle(turned * (cos - 1j * sin))))


def _round(values: NDArray[np.float64], dtype: DTypeLike, name: str) -> NDArray[np.float64]:
    return widen(narrow(values, float_dtype(dtype, name)))

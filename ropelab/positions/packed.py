"""Positions of packed sequences: each starts anew."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .common import check_reach, count, integers

__all__ = ["checked_cu_seqlens", "packed_positions"]


def packed_positions(
    cu_seqlens: ArrayLike, *, offsets: ArrayLike | None = None, tokens: int | None = None
) -> NDArray[np.int64]:
    """Return the position of each token of a pack.

    Parameters
    ----------
    cu_seqlens : array-like of int, shape (sequences + 1,)
        Where each sequence begins, and where the last one ends: cumulative lengths from 0.
    offsets : array-like of int, shape (sequences,), optional
        Position of each sequence's first token, such as the tokens in its KV cache; by default 0.
    tokens : int, optional
        Tokens of the pack, to be checked against the last of `cu_seqlens`.

    Returns
    -------
    ndarray of int64, shape (cu_seqlens[-1],)
        Counted from each sequence's own start.

    Raises
    ------
    TypeError
        If a number is no integer.
    ValueError
        If `cu_seqlens` does not start with 0, decreases or does not end with `tokens`, or
        `offsets` has another shape or is negative.

    Examples
    --------
    >>> packed_positions([0, 3, 3, 5]).tolist()
    [0, 1, 2, 0, 1]
    >>> packed_positions([0, 2, 3], offsets=[9, 4]).tolist()
    [9, 10, 4]
    """
    bounds = checked_cu_seqlens(cu_seqlens, tokens)
    lengths = np.diff(bounds)
    first = np.zeros(lengths.size, np.int64) if offsets is None else integers(offsets, "offsets")
    if first.shape != lengths.shape:
        msg = f"offsets: expected one for each of {lengths.size} sequences; got shape {first.shape}"
        raise ValueError(msg)
    if first.size and first.min() < 0:
        msg = f"offsets: expected positions >= 0; got {int(first.min())}"
        raise ValueError(msg)
    check_reach(int(first.max(initial=0)), int(lengths.max(initial=0)), "offsets")
    # What is subtracted from a token's index: its sequence's beginning, less the offset there.
    return np.arange(bounds[-1], dtype=np.int64) - np.repeat(bounds[:-1] - first, lengths)


def checked_cu_seqlens(cu_seqlens: ArrayLike, tokens: int | None = None) -> NDArray[np.int64]:
    """Return cumulative lengths as int64, or raise.

    Parameters
    ----------
    cu_seqlens : array-like of int, shape (sequences + 1,)
        From 0, never decreasing.
    tokens : int, optional
        What the last one must be.

    Returns
    -------
    ndarray of int64, shape (sequences + 1,)
        A copy.
    """
    bounds = integers(cu_seqlens, "cu_seqlens")
    if bounds.ndim != 1 or bounds.size == 0:
        msg = f"cu_seqlens: expected shape (sequences + 1,); got shape {bounds.shape}"
        raise ValueError(msg)
    if bounds[0] != 0:
        msg = (
            f"cu_seqlens: expected 0 first; got {int(bounds[0])}; "
            f"cumulative lengths are numpy.cumsum([0, *lengths])"
        )
        raise ValueError(msg)
    falls = np.flatnonzero(np.diff(bounds) < 0)
    if falls.size:
        i = int(falls[0])
        msg = (
            f"cu_seqlens: expected numbers that never decrease; got {int(bounds[i + 1])} after "
            f"{int(bounds[i])}; lengths are made cumulative by numpy.cumsum([0, *lengths])"
        )
        raise ValueError(msg)
    if tokens is not None and bounds[-1] != count(tokens, "tokens"):
        msg = f"cu_seqlens: expected {tokens} last, the tokens of the pack; got {int(bounds[-1])}"
        raise ValueError(msg)
    return bounds

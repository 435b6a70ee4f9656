"""Which two channels form pair i, and the permutation between the two conventions.

========================  ==================  ============================================
layout                    pair i              also called
========================  ==================  ============================================
``"half"``                (i, i + d/2)        rotate-half, NeoX; Transformers' Llama
``"interleaved"``         (2i, 2i + 1)        GPT-J, complex; Meta's original Llama
========================  ==================  ============================================

Scores q . k do not change if q and k are permuted alike, so the layout belongs to the weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_array
from .checks import check_channels, check_layout, positive_int

__all__ = ["pair_channels", "to_half", "to_interleaved"]


def pair_channels(layout: str, rotary_dim: int) -> tuple[slice, slice]:
    """Return the channels of all first and of all second members of the pairs.

    Parameters
    ----------
    layout : {"half", "interleaved"}
        The convention.
    rotary_dim : int
        Number of rotated channels d; even.

    Returns
    -------
    first, second : slice
        Pair i is element i of each.

    Raises
    ------
    ValueError
        If the layout is unknown or `rotary_dim` is odd.

    Examples
    --------
    >>> [list(range(8))[channels] for channels in pair_channels("half", 6)]
    [[0, 1, 2], [3, 4, 5]]
    >>> [list(range(8))[channels] for channels in pair_channels("interleaved", 6)]
    [[0, 2, 4], [1, 3, 5]]
    """
    check_layout(layout)
    d = positive_int(rotary_dim, "rotary_dim", even=True)
    if layout == "half":
        return slice(0, d // 2), slice(d // 2, d)
    return slice(0, d, 2), slice(1, d, 2)


def to_interleaved(x: ArrayLike, rotary_dim: int | None = None, *, axis: int = -1) -> NDArray[Any]:
    """Reorder channels from the half to the interleaved layout.

    Parameters
    ----------
    x : array-like, any dtype
        Queries or keys. For the weight of a projection take `ropelab.permute_qk_weight`, which
        knows the heads: of shape (heads * head_dim, in) it would be permuted here as one wide head.
    rotary_dim : int, optional
        Only the first `rotary_dim` channels are reordered; by default all.
    axis : int, default -1
        The channel axis of one head: 1 for a weight given as ``w.reshape(heads, head_dim, in)``.

    Returns
    -------
    ndarray, same shape and dtype
        A copy; bits are moved, never computed with.

    Raises
    ------
    TypeError
        If `x` is no array, or `rotary_dim` or `axis` no integer.
    ValueError
        If `rotary_dim` is odd or larger than the axis.

    Examples
    --------
    >>> to_interleaved([0, 1, 2, 3, 4, 5], rotary_dim=4).tolist()
    [0, 2, 1, 3, 4, 5]
    """
    return _permuted(x, rotary_dim, axis, "half", "interleaved")


def to_half(x: ArrayLike, rotary_dim: int | None = None, *, axis: int = -1) -> NDArray[Any]:
    """Reorder channels from the interleaved to the half layout.

    Parameters
    ----------
    x : array-like, any dtype
        Queries or keys; for weights take `ropelab.permute_qk_weight`, as in `to_interleaved`.
    rotary_dim : int, optional
        Only the first `rotary_dim` channels are reordered; by default all.
    axis : int, default -1
        The channel axis of one head: 1 for a weight given as ``w.reshape(heads, head_dim, in)``.

    Returns
    -------
    ndarray, same shape and dtype
        A copy.

    Raises
    ------
    TypeError
        If `x` is no array, or `rotary_dim` or `axis` no integer.
    ValueError
        If `rotary_dim` is odd or larger than the axis.

    Examples
    --------
    >>> to_half([0, 2, 1, 3, 4, 5], rotary_dim=4).tolist()
    [0, 1, 2, 3, 4, 5]
    """
    return _permuted(x, rotary_dim, axis, "interleaved", "half")


def _permuted(
    x: ArrayLike, rotary_dim: int | None, axis: int, source: str, target: str
) -> NDArray[Any]:
    array = as_array(x, "x")
    axis, d = check_channels(array.shape, rotary_dim, axis)
    result = array.copy()
    old, new = np.moveaxis(array, axis, -1), np.moveaxis(result, axis, -1)
    for here, there in zip(pair_channels(source, d), pair_channels(target, d), strict=True):
        new[..., there] = old[..., here]
    return result

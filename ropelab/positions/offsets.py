"""Positions behind a KV cache, and behind left padding."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_array
from .common import check_reach, count, integers

__all__ = ["masked_positions", "offset_positions"]


def offset_positions(tokens: int, offset: ArrayLike = 0) -> NDArray[np.int64]:
    """Return the positions of new tokens behind those that a KV cache already holds.

    Parameters
    ----------
    tokens : int
        New tokens of each sequence.
    offset : int or array-like of int, shape (batch,), default 0
        Tokens in the cache: of all sequences alike, or of each.

    Returns
    -------
    ndarray of int64, shape (tokens,) or (batch, tokens)
        ``offset + 0, 1, 2, ...``.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or shape, is negative, or a position leaves int64.

    Examples
    --------
    >>> offset_positions(3, 40).tolist(), offset_positions(2, [7, 0]).tolist()
    ([40, 41, 42], [[7, 8], [0, 1]])
    """
    length, first = count(tokens, "tokens"), integers(offset, "offset")
    if first.ndim > 1:
        msg = (
            f"offset: expected one integer, or one for each sequence in shape (batch,); "
            f"got shape {first.shape}"
        )
        raise ValueError(msg)
    if first.size and first.min() < 0:
        msg = f"offset: expected tokens in the cache, >= 0; got {int(first.min())}"
        raise ValueError(msg)
    check_reach(int(first.max(initial=0)), length, "offset")
    return first[..., np.newaxis] + np.arange(length, dtype=np.int64)


def masked_positions(attention_mask: ArrayLike) -> NDArray[np.int64]:
    """Return positions that count real tokens alone, whichever side is padded.

    Parameters
    ----------
    attention_mask : array-like of bool, or of int 0 and 1, shape (..., tokens)
        1 where a token is real.

    Returns
    -------
    ndarray of int64, shape of `attention_mask`
        The number of real tokens before each token; 0 for padding, whose position does not
        matter (Transformers' generate puts 1 there).

    Raises
    ------
    TypeError
        If the mask is of numbers other than integers.
    ValueError
        If it has no token axis or holds other values than 0 and 1.

    Examples
    --------
    >>> masked_positions([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]).tolist()
    [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]
    """
    array = as_array(attention_mask, "attention_mask")
    mask = integers(array.astype(np.int64) if array.dtype == np.bool_ else array, "attention_mask")
    if mask.ndim == 0:
        msg = "attention_mask: expected shape (..., tokens); got a single number"
        raise ValueError(msg)
    strange = mask[(mask != 0) & (mask != 1)]
    if strange.size:
        msg = (
            f"attention_mask: expected 0 and 1; got {int(strange[0])}; a mask that numbers the "
            f"documents of a pack goes as cu_seqlens into packed_positions"
        )
        raise ValueError(msg)
    return (np.cumsum(mask, axis=-1) - 1) * mask

"""Slots: where in a key-value cache the tokens lie.

A cache has the shape (blocks, block_size, kv_heads, head_dim); slot ``block * block_size + row`` is
the row of one token. A negative slot is no place: the token, padding for instance, is not written.
A contiguous cache (batch, max_length, kv_heads, head_dim) is the same thing with one block a
sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_integers
from .checks import heads, positive_int, token_shape

__all__ = ["check_caches", "check_slots", "check_values", "contiguous_slots", "paged_slots"]

Shape = tuple[int, ...]

_PADDING = -1


def contiguous_slots(
    batch: int, sequence: int, max_length: int, offset: ArrayLike = 0
) -> NDArray[np.int64]:
    """Return the slots of new tokens in a cache of one row of `max_length` tokens a sequence.

    Parameters
    ----------
    batch, sequence : int
        Sequences, and new tokens of each.
    max_length : int
        Tokens that the cache holds of each sequence.
    offset : int or array-like of int, shape (batch,), default 0
        Tokens that it holds already: of all sequences alike, or of each.

    Returns
    -------
    ndarray of int64, shape (batch, sequence)
        ``b * max_length + offset + s``.

    Raises
    ------
    TypeError
        If an argument is no integer.
    ValueError
        If a number is not positive, or a token finds no room in its sequence's row.

    Examples
    --------
    >>> contiguous_slots(2, 3, 100, [7, 0]).tolist()
    [[7, 8, 9], [100, 101, 102]]
    """
    rows, length = positive_int(batch, "batch"), positive_int(max_length, "max_length")
    tokens, first = positive_int(sequence, "sequence"), as_integers(offset, "offset")
    if first.shape not in ((), (rows,)):
        msg = (
            f"offset: expected one integer, or one a sequence in shape ({rows},); "
            f"got shape {first.shape}"
        )
        raise ValueError(msg)
    if first.min() < 0 or int(first.max()) + tokens > length:
        msg = (
            f"offset: expected 0 to {length - tokens}, so that {tokens} tokens follow it in a row "
            f"of {length}; got {int(first.min())} to {int(first.max())}; make the cache longer"
        )
        raise ValueError(msg)
    start = np.arange(rows) * length + first.astype(np.int64)
    return start[:, np.newaxis] + np.arange(tokens)


def paged_slots(block_table: ArrayLike, positions: ArrayLike, block_size: int) -> NDArray[np.int64]:
    """Return the slots of tokens in a paged cache.

    Parameters
    ----------
    block_table : array-like of int, shape (batch, blocks of a sequence)
        Which block of the cache holds the tokens i * block_size, ... of a sequence.
    positions : array-like of int, broadcastable to (batch, sequence)
        Place of each token in its sequence, counted from 0; negative for padding.
    block_size : int
        Tokens of a block.

    Returns
    -------
    ndarray of int64, shape (batch, sequence)
        ``block_table[b, m // block_size] * block_size + m % block_size``; -1 for padding.

    Raises
    ------
    TypeError
        If an argument is of no integers.
    ValueError
        If a shape does not fit, or a position has no block.

    Examples
    --------
    >>> paged_slots([[9, 4], [2, 7]], [[15, 16], [3, -1]], 16).tolist()
    [[159, 64], [35, -1]]
    """
    table, given = as_integers(block_table, "block_table"), as_integers(positions, "positions")
    size = positive_int(block_size, "block_size")
    if table.ndim != 2 or given.ndim > 2 or (given.ndim == 2 and len(given) not in (1, len(table))):
        msg = (
            f"positions: expected a shape that broadcasts to (batch, sequence), and a block_table "
            f"of shape (batch, blocks); got {given.shape} and {table.shape}"
        )
        raise ValueError(msg)
    places = np.broadcast_to(given, (len(table), given.shape[-1] if given.ndim else 1))
    used = places >= 0
    number, row = np.divmod(np.where(used, places, 0).astype(np.int64), size)
    if (used & (number >= table.shape[1])).any():
        msg = (
            f"positions: expected less than {table.shape[1] * size}, the tokens of "
            f"{table.shape[1]} blocks of {size}; got {int(places.max())}; give the block_table "
            f"more columns"
        )
        raise ValueError(msg)
    blocks = np.take_along_axis(table.astype(np.int64), np.where(used, number, 0), axis=1)
    if (used & (blocks < 0)).any():
        msg = f"block_table: expected a block for each position; got {int(blocks[used].min())}"
        raise ValueError(msg)
    return np.where(used, blocks * size + row, _PADDING)


def check_values(v_shape: Shape, k_shape: Shape, tensor_format: str) -> None:
    """Raise ValueError unless v agrees with k in everything but its head_dim."""
    tokens = [token_shape(shape, tensor_format, x) for x, shape in (("v", v_shape), ("k", k_shape))]
    if tokens[0] != tokens[1] or heads(v_shape, tensor_format) != heads(k_shape, tensor_format):
        msg = (
            f"v: expected the tokens and heads of k, whose shape is {tuple(k_shape)}; got shape "
            f"{tuple(v_shape)} (tensor_format {tensor_format!r}); only its head_dim may differ"
        )
        raise ValueError(msg)


def check_caches(
    k_cache: Shape, v_cache: Shape, k_shape: Shape, v_shape: Shape, tensor_format: str
) -> int:
    """Return the number of slots of two caches, or raise ValueError unless k and v fit into them.

    Parameters
    ----------
    k_cache, v_cache : tuple of int
        Shapes of the caches.
    k_shape, v_shape : tuple of int
        Shapes of what is written into them.
    tensor_format : str
        Order of the axes of k and v.

    Returns
    -------
    int
        Blocks times block_size.
    """
    for name, cache, x in (("k_cache", k_cache, k_shape), ("v_cache", v_cache, v_shape)):
        wanted = (heads(x, tensor_format), x[-1])
        if len(cache) != 4 or tuple(cache[2:]) != wanted:
            msg = (
                f"{name}: expected shape (blocks, block_size, {wanted[0]}, {wanted[1]}), with the "
                f"heads and the head_dim of {name[0]}; got {tuple(cache)}; transpose a cache whose "
                f"axes come in another order"
            )
            raise ValueError(msg)
    if tuple(v_cache[:2]) != tuple(k_cache[:2]):
        msg = (
            f"v_cache: expected the blocks and the block_size of k_cache, {tuple(k_cache[:2])}; "
            f"got {tuple(v_cache[:2])}; a slot names a row of both"
        )
        raise ValueError(msg)
    return k_cache[0] * k_cache[1]


def check_slots(slots: NDArray[np.integer[Any]], count: int) -> None:
    """Raise ValueError if a slot lies past the `count` of a cache, or is that of two tokens."""
    kept, times = np.unique(slots[slots >= 0], return_counts=True)
    if kept.size and int(kept[-1]) >= count:
        msg = (
            f"slots: expected less than {count}, the slots of the cache; got {int(kept[-1])}; a "
            f"slot is block * block_size + row"
        )
        raise ValueError(msg)
    if kept.size and times.max() > 1:
        twice = int(kept[times.argmax()])
        msg = (
            f"slots: expected a slot of its own for each token; got {twice} for "
            f"{int(times.max())} tokens; which of them is kept would be anyone's guess"
        )
        raise ValueError(msg)

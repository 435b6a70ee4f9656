r"""Which tokens of a pack a context-parallel rank holds, and their positions.

Each sequence is divided by itself, among R ranks. ``"zigzag"`` balances the load of a causal mask:
the sequence is cut into 2R pieces, and rank r holds pieces r and 2R - 1 - r, an early one and a
late one. ``"contiguous"`` cuts it into R pieces, and rank r holds piece r.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_choice, integer, positive_int
from .packed import checked_cu_seqlens, packed_positions

__all__ = ["SHARDS", "shard_positions", "shard_tokens"]

SHARDS = ("zigzag", "contiguous")


def shard_tokens(
    cu_seqlens: ArrayLike, cp_size: int, cp_rank: int, *, shards: str = "zigzag"
) -> NDArray[np.int64]:
    """Return the indices of a rank's tokens in the whole pack, in the rank's own order.

    Parameters
    ----------
    cu_seqlens : array-like of int, shape (sequences + 1,)
        Cumulative lengths of the whole sequences, not of their local parts; one sequence of n
        tokens is [0, n].
    cp_size : int
        Number of ranks R.
    cp_rank : int
        The rank r, from 0.
    shards : {"zigzag", "contiguous"}, default "zigzag"
        How a sequence is divided.

    Returns
    -------
    ndarray of int64, shape (cu_seqlens[-1] / cp_size,)
        Sequence after sequence.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range, or a sequence does not divide evenly.

    References
    ----------
    .. [1] Transformer Engine, pytorch/attention/rope.py: the rows of the table that a rank reads.

    Examples
    --------
    >>> shard_tokens([0, 4, 8], 2, 0).tolist(), shard_tokens([0, 4, 8], 2, 1).tolist()
    ([0, 3, 4, 7], [1, 2, 5, 6])
    """
    bounds = checked_cu_seqlens(cu_seqlens)
    ranks, rank = positive_int(cp_size, "cp_size"), integer(cp_rank, "cp_rank")
    if not 0 <= rank < ranks:
        msg = f"cp_rank: expected 0 to {ranks - 1}, since cp_size is {ranks}; got {rank}"
        raise ValueError(msg)
    check_choice(shards, SHARDS, "shards")
    pieces = 2 * ranks if shards == "zigzag" else ranks
    _check_divisible(bounds, pieces)
    held = (rank, pieces - 1 - rank) if shards == "zigzag" else (rank,)
    tokens = [
        np.arange(
            first + piece * (last - first) // pieces, first + (piece + 1) * (last - first) // pieces
        )
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        for piece in held
    ]
    return np.concatenate([np.zeros(0, np.int64), *tokens])


def shard_positions(
    cu_seqlens: ArrayLike,
    cp_size: int,
    cp_rank: int,
    *,
    shards: str = "zigzag",
    offsets: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Return the position of each token that a rank holds.

    Parameters
    ----------
    cu_seqlens : array-like of int, shape (sequences + 1,)
        As in `shard_tokens`.
    cp_size, cp_rank : int
        As in `shard_tokens`.
    shards : {"zigzag", "contiguous"}, default "zigzag"
        As in `shard_tokens`.
    offsets : array-like of int, shape (sequences,), optional
        As in `packed_positions`.

    Returns
    -------
    ndarray of int64, shape (cu_seqlens[-1] / cp_size,)
        Counted from the start of each whole sequence.

    Raises
    ------
    TypeError, ValueError
        As `shard_tokens` and `packed_positions` do.

    Examples
    --------
    >>> shard_positions([0, 4, 12], 2, 0).tolist(), shard_positions([0, 4, 12], 2, 1).tolist()
    ([0, 3, 0, 1, 6, 7], [1, 2, 2, 3, 4, 5])
    """
    held = shard_tokens(cu_seqlens, cp_size, cp_rank, shards=shards)
    return packed_positions(cu_seqlens, offsets=offsets)[held]


def _check_divisible(bounds: NDArray[np.int64], pieces: int) -> None:
    for sequence, length in enumerate(np.diff(bounds).tolist()):
        if length % pieces:
            msg = (
                f"cu_seqlens: expected every length to be a multiple of the {pieces} pieces that a "
                f"sequence is cut into; got {length} for sequence {sequence}; "
                f"pad it to {-(-length // pieces) * pieces} tokens"
            )
            raise ValueError(msg)

"""Positions of a pack: said by its cumulative lengths, so that nobody needs to list them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import integer, positive_int
from .common import (
    check_offset_shape,
    check_packed_tokens,
    check_unread_offset,
    offset_of_each,
    unread_shape,
)
from .context_parallel import shard_positions
from .packed import checked_cu_seqlens, packed_positions

__all__ = ["Packed"]


@dataclass(frozen=True, eq=False)
class Packed:
    """Positions that start again at each sequence of a pack, in place of position ids.

    Parameters
    ----------
    cu_seqlens : array-like of int, shape (sequences + 1,)
        Cumulative lengths of the whole sequences, from 0. For `ropelab_cuda` a tensor on the
        device, which the host never reads.
    offset : int or array-like of int, shape (sequences,), default 0
        Position of the first token of all sequences alike, or of each; as in `Consecutive`.
    cp_size : int, default 1
        Context-parallel ranks R. If there are several, the tensor holds one rank's part of every
        sequence: pieces r and 2R - 1 - r of 2R, as in `ropelab.positions.shard_positions`.
    cp_rank : int, default 0
        The rank r.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If a shape or a rank does not fit.

    Notes
    -----
    Arrays are kept as they are, and read by whoever rotates; two objects are equal if they are
    one.

    Examples
    --------
    >>> Packed([0, 3, 3, 5], offset=[0, 0, 40]).ids((5,)).tolist()
    [0, 1, 2, 40, 41]
    >>> Packed([0, 4, 12], cp_size=2, cp_rank=1).ids((6,)).tolist()
    [1, 2, 2, 3, 4, 5]
    """

    cu_seqlens: Any
    offset: Any = 0
    cp_size: int = 1
    cp_rank: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without reading a device's memory."""
        ranks, rank = positive_int(self.cp_size, "cp_size"), integer(self.cp_rank, "cp_rank")
        if not 0 <= rank < ranks:
            msg = f"cp_rank: expected 0 to {ranks - 1}, since cp_size is {ranks}; got {rank}"
            raise ValueError(msg)
        bounds = unread_shape(self.cu_seqlens, "cu_seqlens")
        if bounds is not None and (len(bounds) != 1 or bounds[0] == 0):
            msg = f"cu_seqlens: expected shape (sequences + 1,); got shape {bounds}"
            raise ValueError(msg)
        offset = check_unread_offset(self.offset)
        if bounds is not None and not isinstance(offset, int):
            check_offset_shape(unread_shape(offset, "offset"), bounds[0] - 1)
        for name, value in (("offset", offset), ("cp_size", ranks), ("cp_rank", rank)):
            object.__setattr__(self, name, value)

    @property
    def whole(self) -> Packed:
        """The pack of which this is one rank's part."""
        return replace(self, cp_size=1, cp_rank=0)

    def ids(self, tokens: tuple[int, ...]) -> NDArray[np.int64]:
        """List the positions.

        Parameters
        ----------
        tokens : tuple of int
            (tokens,), of the tensor: of this rank.

        Returns
        -------
        ndarray of int64, shape `tokens`
            Position of each token.

        Raises
        ------
        TypeError
            If the numbers are no integers.
        ValueError
            If they lie on a device, `cu_seqlens` decreases or does not end with the tokens of
            all ranks, a sequence does not divide evenly, or a position leaves int64.
        """
        check_packed_tokens(tokens)
        bounds = checked_cu_seqlens(self.cu_seqlens, tokens[0] * self.cp_size)
        lengths = np.diff(bounds)
        first = offset_of_each(self.offset, lengths.size, int(lengths.max(initial=0)))
        places = packed_positions(bounds)
        if self.cp_size > 1:
            places = shard_positions(bounds, self.cp_size, self.cp_rank)
        return places + np.repeat(first, lengths // self.cp_size)

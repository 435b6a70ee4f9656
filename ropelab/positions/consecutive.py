"""Positions that follow one another: said by an offset, so that nobody needs to list them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .common import check_unread_offset, offset_of_each
from .offsets import offset_positions

__all__ = ["Consecutive"]


@dataclass(frozen=True, eq=False)
class Consecutive:
    """Positions ``offset + 0, 1, 2, ...`` along the sequence, in place of position ids.

    Parameters
    ----------
    offset : int or array-like of int, shape (batch,), default 0
        Position of the first token, such as the tokens in a KV cache: of all sequences alike, or
        of each; negative behind left padding. Packed tokens, of ``"thd"``, have one. For
        `ropelab_cuda` an int, or a tensor on the device, which the host never reads.

    Raises
    ------
    TypeError
        If `offset` is neither an integer nor integers.
    ValueError
        If it has more than one axis, or is an int beyond 64 bits.

    Notes
    -----
    An array is kept as it is, and read by whoever rotates; two objects are equal if they are one.

    Examples
    --------
    >>> Consecutive([7, -2]).ids((2, 3)).tolist()
    [[7, 8, 9], [-2, -1, 0]]
    """

    offset: Any = 0

    def __post_init__(self) -> None:
        """Check what can be checked without reading a device's memory."""
        object.__setattr__(self, "offset", check_unread_offset(self.offset))

    def ids(self, tokens: tuple[int, ...]) -> NDArray[np.int64]:
        """List the positions.

        Parameters
        ----------
        tokens : tuple of int
            (batch, sequence), or (tokens,).

        Returns
        -------
        ndarray of int64, shape `tokens`
            Position of each token.

        Raises
        ------
        TypeError
            If the offset is not of integers.
        ValueError
            If it lies on a device, there is not one a sequence, or a position leaves int64.
        """
        *batch, length = tokens
        first = offset_of_each(self.offset, batch[0] if batch else 1, length)
        return (first[:, np.newaxis] + offset_positions(length)).reshape(tokens)

"""The positions of some tokens, whether they are listed or said by an object."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_integers
from ..checks import check_positions
from .consecutive import Consecutive
from .packs import Packed

__all__ = ["PositionIds", "check_listed", "current_length", "position_arrays", "token_positions"]

PositionIds: TypeAlias = ArrayLike | Consecutive | Packed


def token_positions(
    position_ids: PositionIds, tokens: tuple[int, ...], *, axes: int = 1
) -> NDArray[Any]:
    """Return positions that broadcast to the tokens.

    Parameters
    ----------
    position_ids : array-like of int, Consecutive or Packed
        As in `ropelab.apply_rotary`.
    tokens : tuple of int
        (batch, sequence) or (tokens,).
    axes : int, default 1
        Number of position axes that a spectrum names. The tokens of an object are text, whose
        position is the same on each.

    Returns
    -------
    ndarray of int
        With a leading axis if there are several.

    Raises
    ------
    TypeError
        If the positions are no integers.
    ValueError
        If a shape does not fit, or an object says no positions of these tokens.

    Examples
    --------
    >>> token_positions(Consecutive(5), (1, 2), axes=3).tolist()
    [[[5, 6]], [[5, 6]], [[5, 6]]]
    """
    if isinstance(position_ids, (Consecutive, Packed)):
        ids = position_ids.ids(tokens)
        return ids if axes == 1 else np.broadcast_to(ids, (axes, *tokens))
    positions = as_integers(position_ids, "position_ids")
    check_positions(positions.shape, tokens, axes=axes)
    return positions


def position_arrays(position_ids: PositionIds) -> dict[str, NDArray[Any]]:
    """Return the arrays of which positions are made, without a copy where there is memory.

    Parameters
    ----------
    position_ids : array-like of int, Consecutive or Packed
        As in `ropelab.apply_rotary`.

    Returns
    -------
    dict of str to ndarray of int
        By the names that messages have for them.

    Raises
    ------
    TypeError
        If one is not of integers.
    ValueError
        If it lies on a device.

    Examples
    --------
    >>> sorted(position_arrays(Packed([0, 4, 12])))
    ['cu_seqlens', 'offset']
    """
    if not isinstance(position_ids, (Consecutive, Packed)):
        return {"position_ids": as_integers(position_ids, "position_ids")}
    arrays = {"offset": as_integers(position_ids.offset, "offset")}
    if isinstance(position_ids, Packed):
        arrays["cu_seqlens"] = as_integers(position_ids.cu_seqlens, "cu_seqlens")
    return arrays


def current_length(position_ids: PositionIds, tokens: tuple[int, ...]) -> int | None:
    """Return the length that rules which depend on one are asked for, if none is given.

    Parameters
    ----------
    position_ids : array-like of int, Consecutive or Packed
        As in `ropelab.apply_rotary`.
    tokens : tuple of int
        (batch, sequence) or (tokens,).

    Returns
    -------
    int or None
        The largest position plus one, from 1 to 2**63 - 1; of a pack's whole sequences, so that
        context-parallel ranks agree. None if there are no tokens.

    Examples
    --------
    >>> current_length(Packed([0, 4, 12], cp_size=2, cp_rank=1), (6,))
    8
    """
    if isinstance(position_ids, Packed):
        position_ids, tokens = position_ids.whole, tuple(n * position_ids.cp_size for n in tokens)
    if isinstance(position_ids, (Consecutive, Packed)):
        positions: NDArray[Any] = position_ids.ids(tokens)
    else:
        positions = as_integers(position_ids, "position_ids")
    return min(max(int(positions.max()) + 1, 1), 2**63 - 1) if positions.size else None


def check_listed(position_ids: object) -> None:
    """Raise TypeError for a position object where no tensor says how many tokens there are."""
    if isinstance(position_ids, (Consecutive, Packed)):
        msg = (
            f"position_ids: expected integers, since no tensor says here how many tokens there "
            f"are; got a {type(position_ids).__name__}; list its positions by .ids(tokens)"
        )
        raise TypeError(msg)

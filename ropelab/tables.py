"""Given tables of cosines and sines: one row a token, or one a position; one value a pair, or two.

The shapes and words are checked here for both packages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_floats
from .checks import check_choice, check_flag, check_table
from .layouts import pair_channels
from .positions.token_positions import PositionIds, token_positions
from .precision import widen

__all__ = [
    "OVERRUNS",
    "check_overrun",
    "check_repeated",
    "check_row_range",
    "check_rows",
    "given_cos_sin",
]

OVERRUNS = ("raise", "clamp")


def given_cos_sin(
    tables: tuple[ArrayLike, ArrayLike],
    tokens: tuple[int, ...],
    head_dim: int,
    *,
    position_ids: PositionIds | None,
    repeated: bool,
    overrun: str,
    layout: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return cos and sin of every token, from given tables.

    Parameters
    ----------
    tables : (array-like of float, array-like of float)
        Cosines and sines.
    tokens : tuple of int
        (batch, sequence) or (tokens,).
    head_dim : int
        Channels of a head.
    position_ids : array-like of int, Consecutive or Packed, optional
        Which row serves which token; by default there is one row a token.
    repeated : bool
        Whether each value stands in both columns of its pair.
    overrun : {"raise", "clamp"}
        What to do about a position without a row.
    layout : str
        Which two columns are a pair's, where they are repeated.

    Returns
    -------
    cos, sin : ndarray of float64, shape (batch, sequence, d/2) or (tokens, d/2)
        One value a pair.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If a shape or an option does not fit, or a position has no row.

    Examples
    --------
    >>> cos, sin = np.array([[1.0], [0.5], [0.0]]), np.zeros((3, 1))
    >>> options = {"repeated": False, "overrun": "clamp", "layout": "half"}
    >>> given_cos_sin((cos, sin), (4,), 2, position_ids=[2, 0, 7, -1], **options)[0].tolist()
    [[0.0], [1.0], [0.0], [1.0]]
    """
    is_indexed = position_ids is not None
    check_overrun(overrun, is_indexed=is_indexed)
    values: list[NDArray[np.float64]] = []
    for given, name in zip(tables, ("cos", "sin"), strict=True):
        table = widen(as_floats(given, name))
        if check_flag(repeated, "repeated"):
            check_repeated(table.shape, head_dim, name)
            table = table[..., pair_channels(layout, table.shape[-1])[0]]
        if is_indexed:
            check_rows(table.shape, head_dim, name)
        else:
            check_table(table.shape, tokens, head_dim, name)
            table = np.broadcast_to(table, (*tokens, table.shape[-1]))
        values.append(table)
    cos, sin = values
    if cos.shape != sin.shape:
        what = "shape" if is_indexed else "width"
        sizes = [table.shape if is_indexed else table.shape[-1] for table in values]
        msg = f"sin: expected the {what} of cos, {sizes[0]}; got {sizes[1]}"
        raise ValueError(msg)
    if position_ids is None:
        return cos, sin
    rows = _rows(token_positions(position_ids, tokens), len(cos), overrun)
    whole = (*tokens, cos.shape[-1])
    return np.broadcast_to(cos[rows], whole), np.broadcast_to(sin[rows], whole)


def _rows(positions: NDArray[Any], length: int, overrun: str) -> NDArray[np.int64]:
    """Return the row of each position."""
    if overrun == "raise" and positions.size:
        check_row_range(int(positions.min()), int(positions.max()), length)
    rows: NDArray[np.int64] = np.clip(positions, 0, length - 1).astype(np.int64)
    return rows


def check_overrun(value: object, *, is_indexed: bool) -> None:
    """Raise ValueError unless `value` says what to do about a position without a row."""
    check_choice(value, OVERRUNS, "overrun")
    if value != "raise" and not is_indexed:
        msg = (
            f"overrun: expected 'raise' where no position can pass the end of a table; got "
            f"{value!r}; name the row of each token by position_ids"
        )
        raise ValueError(msg)


def check_row_range(smallest: int, largest: int, length: int) -> None:
    """Raise ValueError if positions from `smallest` to `largest` pass the ends of a table."""
    if smallest < 0 or largest >= length:
        msg = (
            f"position_ids: expected 0 to {length - 1}, since cos and sin have {length} rows; got "
            f"position {smallest if smallest < 0 else largest}; lengthen the tables, or take "
            f"the nearest row by overrun='clamp'"
        )
        raise ValueError(msg)


def check_rows(shape: tuple[int, ...], head_dim: int, name: str) -> None:
    """Raise ValueError unless a table of that shape holds one row a position."""
    if len(shape) != 2 or shape[0] == 0:
        msg = (
            f"{name}: expected shape (table_length, d/2), a row for each position from 0 on; got "
            f"{tuple(shape)}; omit position_ids where there is a row for each token"
        )
        raise ValueError(msg)
    check_table(shape, shape[:1], head_dim, name)


def check_repeated(shape: tuple[int, ...], head_dim: int, name: str) -> None:
    """Raise ValueError unless a table of that shape holds two values a pair."""
    width = shape[-1] if shape else 0
    if width == 0 or width % 2 or width > head_dim:
        msg = (
            f"{name}: repeated=True expects shape (..., d) of an even d, at most {head_dim}; got "
            f"{tuple(shape)}; omit it where a table has one column a pair"
        )
        raise ValueError(msg)

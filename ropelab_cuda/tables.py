"""Given tables of cosines and sines, as callers say them: which columns and which rows are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ropelab.checks import check_flag, check_table
from ropelab.tables import check_overrun, check_repeated, check_row_range, check_rows

from .exchange import Gate
from .given_positions import on_host, take_positions
from .launch_rotary import Lookup
from .tokens import Axes
from .views import View

__all__ = ["ROW_A_TOKEN", "Reading", "take_lookup", "take_tables"]


class Reading(NamedTuple):
    """How a caller wants tables to be read; unchecked. See `ropelab_cuda.apply_rotary_cached`."""

    position_ids: Any = None
    repeated: bool = False
    overrun: str = "raise"
    overrun_flag: Any = None

    @property
    def is_plain(self) -> bool:
        """Whether there is a row a token, and nothing to be said of others."""
        return self.position_ids is None and self.overrun_flag is None and self.overrun == "raise"

    @property
    def is_indexed(self) -> bool:
        """Whether positions name the rows."""
        return self.position_ids is not None

    @property
    def looks(self) -> bool:
        """Whether values are looked at, or written beside the outputs: not to be replayed."""
        return self.overrun_flag is not None or (self.is_indexed and self.overrun != "clamp")


ROW_A_TOKEN = Reading()


def take_tables(
    gate: Gate,
    given: Mapping[str, Any],
    tokens: Axes,
    head_dim: int,
    reading: Reading,
    layout: str,
) -> dict[str, View]:
    """Take cos and sin, as tables of one column a pair.

    Parameters
    ----------
    gate : Gate
        Of the call.
    given : mapping of str to tensor
        Both, by their names.
    tokens : tuple of int
        (batch, sequence) or (tokens,).
    head_dim : int
        Channels of a head.
    reading : Reading
        How they are read.
    layout : str
        Which two columns are a pair's, where values are repeated.

    Returns
    -------
    dict of str to View
        By the same names; of one dtype, width and last stride.

    Raises
    ------
    TypeError
        If something is no tensor of floats, or their dtypes differ.
    ValueError
        If a tensor lies elsewhere, or a shape or an option does not fit.
    """
    check_overrun(reading.overrun, is_indexed=reading.is_indexed)
    repeated = check_flag(reading.repeated, "repeated")
    tables = {}
    for name, x in given.items():
        table = gate.floats(x, name, foreign=True)
        if repeated:
            check_repeated(table.shape, head_dim, name)
            table = _first_columns(table, layout)
        if reading.is_indexed:
            check_rows(table.shape, head_dim, name)
        else:
            check_table(table.shape, tokens, head_dim, name)
        tables[name] = table
    cos, sin = (
        table.shape if reading.is_indexed else table.shape[-1:] for table in tables.values()
    )
    if cos != sin:
        what, *sizes = ("shape", cos, sin) if reading.is_indexed else ("width", cos[-1], sin[-1])
        msg = f"sin: expected the {what} of cos, {sizes[0]}; got {sizes[1]}"
        raise ValueError(msg)
    return tables


def _first_columns(table: View, layout: str) -> View:
    """Return a view of each pair's first column."""
    pairs = table.shape[-1] // 2
    step = 2 if layout == "interleaved" else 1
    return replace(table, shape=(*table.shape[:-1], pairs), strides=(*table.strides[:-1], step))


def take_lookup(gate: Gate, reading: Reading, tokens: Axes, length: int) -> Lookup | None:
    """Take the positions that name rows, and look at them if that is wanted.

    Parameters
    ----------
    gate : Gate
        Of the call.
    reading : Reading
        How tables are read.
    tokens : tuple of int
        (batch, sequence) or (tokens,).
    length : int
        Rows of a table.

    Returns
    -------
    Lookup or None
        None where there is one row a token.

    Raises
    ------
    TypeError
        If something is no tensor of integers.
    ValueError
        If a tensor lies elsewhere, a shape does not fit, or a position has no row.
    """
    flag = _take_flag(gate, reading)
    if not reading.is_indexed:
        return None
    source = take_positions(gate, reading.position_ids, tokens)
    if reading.overrun == "raise":
        host = on_host(reading.position_ids)
        ids = host.ids(tokens) if hasattr(host, "ids") else host
        if ids.size:
            check_row_range(int(ids.min()), int(ids.max()), length)
    return Lookup(source, flag)


def _take_flag(gate: Gate, reading: Reading) -> View | None:
    if reading.overrun_flag is None:
        return None
    if reading.overrun != "clamp":
        msg = (
            f"overrun_flag: expected overrun='clamp' beside it, the only way to pass the end of a "
            f"table; got overrun={reading.overrun!r}"
        )
        raise ValueError(msg)
    return gate.flag(reading.overrun_flag, "overrun_flag")

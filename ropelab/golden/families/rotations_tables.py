"""Rotations by given tables of which positions name the rows, or whose values stand twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import tolerances
from ..case import DTYPES, Array, Case
from ..inputs import tensor
from ..operations import attest
from ..oracle import pair
from .common import LAYOUTS, inv_freq_of

__all__ = ["cases", "table_of"]

_LENGTH = 7
_PAIRS = 6  # of a head of 24 channels
_FLAGS = ("Indexing", "PositionValues", "TableEnd")
_PAST = np.array([[6, -1, 0], [7, 3, 2**31 - 1]], np.int64)  # three of them without a row


def table_of(dtype: str, layout: str | None = None, length: int = _LENGTH) -> dict[str, Array]:
    """Return attested cos and sin of positions from 0 on, each twice where a layout is given."""
    arrays = {
        "position_ids": np.arange(length, dtype=np.int64) * 4_001,
        "inv_freq": inv_freq_of("partial"),
    }
    options = {"angles": "exact", "dtype": dtype, "attention_factor": 1.0}
    tables = attest(Case("table", "cos_sin", arrays, options, tolerances.equal()))
    return {name: _repeated(table, layout) for name, table in tables.items()}


def _repeated(table: Array, layout: str | None) -> Array:
    if layout is None:
        return table
    pairs = table.shape[-1]
    wide = np.zeros((*table.shape[:-1], 2 * pairs), table.dtype)
    for i in range(pairs):
        for column in pair(layout, 2 * pairs, i):
            wide[..., column] = table[..., i]
    return wide


def _case(
    path: str,
    dtype: str,
    tables: Mapping[str, Array],
    ids: Array | None,
    shape: tuple[int, ...] = (2, 3, 1, 24),
    tensor_format: str = "bshd",
    held: Mapping[str, Array] | None = None,
    **options: Any,
) -> Case:
    arrays = {"x": tensor(shape, dtype), **tables, **(held or {})}
    arrays |= {} if ids is None else {"position_ids": ids}
    told = {"layout": "half", "tensor_format": tensor_format, "inverse": False, **options}
    bound = tolerances.pair(dtype, "exact")
    return Case(f"cached/{path}/{dtype}", "apply_rotary_cached", arrays, told, bound, _FLAGS)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By dtype.
    """
    ids = np.array([[6, 0, 3], [2, 5, 1]], np.int64)
    for dtype in DTYPES:
        for layout in LAYOUTS:
            plain, twice = table_of("float32"), table_of("float32", layout)
            own = table_of(dtype, layout)
            yield _case(f"indexed/{layout}", dtype, plain, ids, layout=layout)
            path = f"repeated/{layout}"
            options: dict[str, Any] = {"layout": layout, "repeated": True}
            yield _case(f"{path}/indexed", dtype, own, ids.astype(np.int32), **options)
            rows = {name: table[:6].reshape(2, 3, -1) for name, table in twice.items()}
            yield _case(f"{path}/by-token", dtype, rows, None, inverse=True, **options)
            yield _case(f"{path}/clamped", dtype, twice, _PAST, overrun="clamp", **options)
        clamp: dict[str, Any] = {"overrun": "clamp", "rotary_offset": 5}
        yield _case("indexed/clamped", dtype, table_of(dtype), _PAST, **clamp)
        column = np.array([[4], [6]], np.uint8)
        yield _case("indexed/column", dtype, plain, column, (3, 2, 1, 24), "sbhd")
        for inverse in (False, True):
            crossed: dict[str, Any] = {
                "output_layout": "half",
                "repeated": True,
                "inverse": inverse,
            }
            path = f"repeated/interleaved-to-half/{'inverse' if inverse else 'forward'}"
            tables = table_of("float32", "half")
            yield _case(path, dtype, tables, ids, **crossed)
        yield from _said(dtype, plain)


def _said(dtype: str, tables: Mapping[str, Array]) -> Iterator[Case]:
    """Yield cases whose positions an object says."""
    held = {"offset": np.array([2, -1], np.int64)}
    options: dict[str, Any] = {"overrun": "clamp", "positions": {"kind": "Consecutive"}}
    yield _case("indexed/consecutive", dtype, tables, None, held=held, **options)
    bounds = {"cu_seqlens": np.array([0, 4, 4, 6], np.int32)}
    packed: dict[str, Any] = {"positions": {"kind": "Packed", "offset": 3}}
    yield _case("indexed/packed", dtype, tables, None, (6, 1, 24), "thd", bounds, **packed)

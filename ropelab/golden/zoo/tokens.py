"""Positions that an object says, and tables that positions index, made wrong (M3, M5, M14)."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

import ropelab
from ropelab import positions

from ...positions import Packed
from ..case import Array
from ..implementation import SPECIFICATION
from .harness import listed
from .mutant import Entries

__all__ = ["ENTRIES"]

_RIGHT = {name: getattr(positions, name) for name in positions.__all__}


class _OneOffset(Packed):
    """Take the cache of a pack's first sequence for that of each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "offset", int(np.ravel(self.offset)[0]))


def _wrapped_rows(x: Array, cos: Array, sin: Array, **options: Any) -> Array:
    """Go round and round a table that ends."""
    ids = options.get("position_ids")
    if ids is not None:
        rows = listed(ids, x, options["tensor_format"]).astype(np.int64) % len(cos)
        options["position_ids"] = rows
    return ropelab.apply_rotary_cached(x, cos, sin, **options)


def _first_half(x: Array, cos: Array, sin: Array, **options: Any) -> Array:
    """Read a repeated table's first half, in whichever layout."""
    if options.pop("repeated", False):
        half = cos.shape[-1] // 2
        cos, sin = cos[..., :half], sin[..., :half]
    return ropelab.apply_rotary_cached(x, cos, sin, **options)


ENTRIES: Entries = {
    "pack-behind-one-cache": (
        "M5",
        "every sequence of a pack behind a cache as long as the first one's",
        replace(SPECIFICATION, positions=SimpleNamespace(**{**_RIGHT, "Packed": _OneOffset})),
    ),
    "table-gone-round": (
        "M14",
        "positions taken modulo the length of a table",
        replace(SPECIFICATION, apply_rotary_cached=_wrapped_rows),
    ),
    "repeated-table-by-halves": (
        "M3",
        "the first half read of a table that repeats its columns pair by pair",
        replace(SPECIFICATION, apply_rotary_cached=_first_half),
    ),
}

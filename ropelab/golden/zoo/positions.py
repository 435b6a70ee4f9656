"""Values of positions ignored, offsets lost, tables too short (M4, M5, M14)."""

from __future__ import annotations

import numpy as np

from ropelab import Spectrum

from ..case import Array
from .harness import angles_of, tables_of, with_positions, with_tables
from .mutant import Entries

__all__ = ["ENTRIES"]


def _arange(ids: Array) -> Array:
    """Ignore the values of the positions."""
    if ids.ndim == 0:
        return np.zeros_like(ids)
    return np.broadcast_to(np.arange(ids.shape[-1]), ids.shape).astype(np.int64)


def _restarted(ids: Array) -> Array:
    """Start every sequence again at 0."""
    values = np.atleast_1d(ids).astype(np.int64)
    return (values - values[..., :1]).reshape(ids.shape)


def _continued(ids: Array) -> Array:
    """Count on from the first position, so that no document of a pack starts again."""
    values = np.atleast_1d(ids).astype(np.int64)
    counted = values[..., :1] + np.arange(values.shape[-1])
    return counted.reshape(ids.shape)


def _first_row(ids: Array) -> Array:
    """Read the positions of batch row 0 for every row."""
    if ids.ndim < 2:
        return ids
    return np.broadcast_to(ids[..., :1, :], ids.shape)


def _end_of_table(ids: Array) -> Array:
    return np.clip(ids, 0, 4095)


def _word_overflow(ids: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    """Compute position times row length in 32 bits, which wraps."""
    wrapped = (ids.astype(np.int64) * 4096).astype(np.int32).astype(np.int64) // 4096
    return tables_of(angles_of(wrapped, spectrum), spectrum)


ENTRIES: Entries = {
    "length-slice": (
        "M4",
        "table sliced by length, values ignored",
        with_positions(_arange),
        "Megatron-LM#453",
    ),
    "off-by-one": (
        "M4",
        "positions counted from 1",
        with_positions(lambda ids: ids.astype(np.int64) + 1),
        "candle!1517",
    ),
    "first-row-of-positions": (
        "M4",
        "batch row 0 of the table used for every row",
        with_positions(_first_row),
        "Liger-Kernel!477",
    ),
    "offset-lost": (
        "M5",
        "every sequence starts again at 0",
        with_positions(_restarted),
        "executorch!2010",
    ),
    "documents-continued": (
        "M5",
        "packed documents continue the positions of the one before",
        with_positions(_continued),
        "torchtitan#2559",
    ),
    "table-too-short": (
        "M14",
        "positions clipped to a table of 4096",
        with_positions(_end_of_table),
        "sglang!10788",
    ),
    "index-overflow": (
        "M14",
        "position times row length in 32 bits",
        with_tables(_word_overflow),
        "Liger-Kernel#1335",
    ),
}

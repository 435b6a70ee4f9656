"""Given cosines and sines: a row a token or a row a position, one value a pair or two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import ropelab
from ropelab.golden.case import Array

from .angles import positions_in
from .call import Written
from .cases import Case, farthest, positions_of, spectrum_of, token_axes_of
from .memory import Arena, Place
from .tensors import listed

__all__ = ["LENGTHS", "READINGS", "Lookup", "Tables", "tables_of"]

READINGS = ("plain", "repeated", "indexed", "indexed, repeated")
LENGTHS = (1, 7, 99)  # odd, so that the rows lie evenly around one


@dataclass(frozen=True)
class Lookup:
    """How positions name rows.

    Parameters
    ----------
    length : int
        Rows of each table.
    overrun : {"raise", "clamp"}
        What is said of positions without a row; with the former there are none.
    flag : int or None
        What the overrun flag holds before; None if there is none.
    """

    length: int
    overrun: str
    flag: int | None


@dataclass(frozen=True)
class Tables:
    """Tables of a call.

    Parameters
    ----------
    numbers : (Array, Array)
        A row a token, as the specification takes them.
    passed : (Place, Place)
        As the call does.
    options : dict
        The options that say how they are read.
    flag : Place or None
        The overrun flag.
    flagged : int
        What it must hold afterwards.
    """

    numbers: tuple[Array, Array]
    passed: tuple[Place, Place]
    options: dict[str, Any]
    flag: Place | None = None
    flagged: int = 0

    @property
    def written(self) -> tuple[Written, ...]:
        """What a call writes beside its results."""
        return () if self.flag is None else ((self.flag, ...),)

    def check_flag(self, after: Array) -> None:
        """Raise AssertionError unless the flag holds what it must."""
        if self.flag is not None:
            assert self.flag.of(after).tolist() == [self.flagged], "the overrun flag"


def tables_of(arena: Arena, case: Case, dtype: str, reading: str, lookup: Lookup) -> Tables:
    """Put tables of a dtype into an arena, to be read in a way."""
    options: dict[str, Any] = {"repeated": True} if "repeated" in reading else {}
    spectrum = spectrum_of(case)
    if "indexed" not in reading:
        cos, sin = ropelab.cos_sin(positions_of(case), spectrum, dtype=dtype)
        return Tables((cos, sin), _put(arena, case, (cos, sin), **options), options)
    length, flag = lookup.length, None
    clamps = lookup.overrun == "clamp" or case.kind.source != "ids"
    centre = length // 2
    reach = centre if not clamps else 2**32 if case.positions == "edges" else length
    largest = farthest(case.kind)
    ids, positions = positions_in(arena, case, largest=largest, centre=centre, reach=reach)
    options["position_ids"] = positions
    if clamps:
        options["overrun"] = "clamp"
        if lookup.flag is not None:
            flag = options["overrun_flag"] = listed(arena, np.array([lookup.flag], np.int32))
    of_tokens = np.broadcast_to(ids.astype(np.int64), token_axes_of(case))
    beyond = bool(((of_tokens < 0) | (of_tokens >= length)).any())
    rows = ropelab.cos_sin(np.arange(length), spectrum, dtype=dtype)
    cos, sin = (table[of_tokens.clip(0, length - 1)] for table in rows)
    passed = _put(arena, case, rows, repeated="repeated" in reading)
    return Tables((cos, sin), passed, options, flag, int(lookup.flag or beyond))


def _put(
    arena: Arena, case: Case, tables: tuple[Array, Array], *, repeated: bool = False
) -> tuple[Place, Place]:
    """Put tables, each value of them in both columns of its pair if wanted."""

    def columns(table: Array) -> Array:
        if not repeated:
            return table
        if case.kind.output_layout == "interleaved":
            return np.repeat(table, 2, axis=-1)
        return np.concatenate([table, table], axis=-1)

    cos, sin = (listed(arena, columns(table)) for table in tables)
    return cos, sin

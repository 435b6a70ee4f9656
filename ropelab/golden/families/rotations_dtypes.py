"""Rotated tensors stored in another format than they came in, and over a scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

import numpy as np

from .. import tolerances
from ..case import DTYPES, STORED_DTYPES, Array, Case
from ..inputs import splitmix64
from ..operations import attest
from .common import LAYOUTS
from .rotation import rotation

__all__ = ["cases"]

_SHAPE, _WIDE = (1, 3, 2), (1, 2, 2)
_SCALE = 0.36787944117144233  # 1/e: no ratio of small numbers, which could make a tie
_SIGNIFICANT_BITS = {"float16": 11, "bfloat16": 8, "float8_e4m3fn": 4, "float8_e5m2": 3}
_EIGHT_BITS = {
    # Scales over which some numbers exceed the largest one, and many are subnormal.
    "float8_e4m3fn": {"saturated": 2.0**-8 / 1.1, "subnormal": 100.0},
    "float8_e5m2": {"saturated": 2.0**-15 / 1.1, "subnormal": 24_000.0},
}


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By layout, format of the result and dtype.
    """
    for layout, stored in product(LAYOUTS, STORED_DTYPES):
        same: dict[str, Any] = {"layout": layout, "stored": stored}
        for dtype in DTYPES:
            path = f"stored/plain/{layout}/{stored}"
            yield rotation(path, dtype, flags=("HalfPrecisionTables",), shape=_SHAPE, **same)
        for dtype, inverse in (("bfloat16", False), ("float32", True)):
            told = {**same, "shape": _SHAPE, "scale": _SCALE, "inverse": inverse}
            path = f"stored/scaled/{layout}/{stored}"
            yield rotation(path, dtype, flags=("Amplitude",), **told)
        told = {**same, "rope": "partial", "shape": _WIDE, "scale": 0.25, "rotary_offset": 5}
        path = f"stored/partial/{layout}/{stored}"
        yield rotation(path, "float16", flags=("PartialWidth", "Amplitude"), **told)
        told = {**same, "shape": (1, 2, 4), "heads_k": 1, "scale": [_SCALE, 0.011]}
        path = f"stored/qk-two-scales/{layout}/{stored}"
        yield rotation(path, "bfloat16", flags=("Amplitude", "Indexing"), **told)
        yield from _limits(layout, stored)
    yield from _others()


def _limits(layout: str, stored: str) -> Iterator[Case]:
    """Yield what 8 bits have limits for: range, steps near zero, ties."""
    same: dict[str, Any] = {"layout": layout, "stored": stored, "flags": ("Amplitude",)}
    for name, scale in _EIGHT_BITS.get(stored, {}).items():
        for dtype in ("bfloat16", "float64"):
            path = f"stored/{name}/{layout}/{stored}"
            yield rotation(path, dtype, shape=_SHAPE, scale=scale, **same)
    if stored not in _SIGNIFICANT_BITS:
        return
    # At position 0 nothing turns: each number lies halfway between two of the format's, or a little
    # beyond, which is halfway to whoever goes through another format.
    halfway = _halfway(stored, (1, 1, 2, 16))
    told = {**same, "form": "row", "shape": (1, 1, 2)}
    for name, dtype, x, scale in (
        ("ties", "float32", halfway, 1.0),
        ("ties-scaled", "float32", halfway, 2.0**-7),
        ("beside-ties", "float64", halfway * (1.0 + 2.0**-40), 1.0),
    ):
        extra = {"position_ids": np.zeros((1, 1), np.int64), "x": x.astype(dtype)}
        path = f"stored/{name}/{layout}/{stored}"
        yield _exactly(rotation(path, dtype, scale=scale, arrays=extra, **told))


def _halfway(stored: str, shape: tuple[int, ...]) -> Array:
    """Return numbers of either sign from 1 to 2, each halfway between two of a format."""
    p = _SIGNIFICANT_BITS[stored]
    words = splitmix64(5, prod(shape))
    odd = [(-1) ** (word >> 63) * (2**p + 2 * (word % 2 ** (p - 1)) + 1) for word in words]
    return np.array(odd).reshape(shape) / 2.0**p


def _exactly(case: Case) -> Case:
    why = "position 0 and a power of two: nothing but the last rounding rounds"
    return replace(case, tolerance=replace(tolerances.equal(), why=why))


def _others() -> Iterator[Case]:
    """Yield queries and keys of one scale, another layout on the way out, and given tables."""
    for stored, layout in (("float8_e4m3fn", "half"), ("float8_e5m2", "interleaved")):
        told: dict[str, Any] = {"layout": layout, "stored": stored, "scale": _SCALE}
        told |= {"shape": (1, 2, 4), "heads_k": 1, "rope": "partial", "rotary_offset": 12}
        path = f"stored/qk-one-scale/{layout}/{stored}"
        yield rotation(path, "bfloat16", flags=("PartialWidth", "Amplitude"), **told)
        other = LAYOUTS[1 - LAYOUTS.index(layout)]
        told = {"layout": layout, "output_layout": other, "stored": stored, "scale": _SCALE}
        told |= {"shape": _WIDE, "rope": "partial", "rotary_offset": 5, "inverse": False}
        source = rotation(f"stored/crossing/{layout}/{stored}", "float32", flags=(), **told)
        yield replace(source, flags=("Pairing", "PartialWidth"))
        given = {name: source.arguments[name] for name in ("position_ids", "inv_freq")}
        asked = {"angles": "exact", "dtype": "float32", "attention_factor": 1.0}
        tables = attest(Case("table", "cos_sin", given, asked, source.tolerance))
        options = dict(source.options)
        del options["angles"], options["attention_factor"]
        arguments = {"x": source.arguments["x"], **tables}
        path, flags = f"stored/cached/{layout}/{stored}", ("Pairing", "Amplitude")
        yield Case(path, "apply_rotary_cached", arguments, options, source.tolerance, flags)

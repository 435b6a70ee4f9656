"""Channels that change places: `to_half` and `to_interleaved`, of bits that are no numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import ropelab
from ropelab.golden.case import Array
from ropelab.precision import RAW

from .call import Call
from .cases import ALIGNED, WIDTHS, dealt, generator
from .errors import Finding, same_bits
from .memory import Arena
from .tensors import scattered

__all__ = ["KINDS", "PermuteCase", "PermuteKind", "call_of", "cases"]

DTYPES = ("uint8", "float8_e5m2", "bfloat16", "int16", "float32", "int64", "complex128")
ROWS = ((), (1,), (7,), (3, 5), (0, 4), (2, 3, 4), (5, 1, 8), (2, 3, 2, 5), (701, 3), (40, 33))
MOST_IN_PLACE = 1024  # channels, if no more than one travels at a time


@dataclass(frozen=True)
class PermuteKind:
    """What a permutation is compiled for.

    Parameters
    ----------
    function : {"to_half", "to_interleaved"}
        Which way channels go.
    dtype : str
        Of the elements.
    widths : (int, int or None)
        Channels, and how many of them change places.
    aligned : (bool, bool)
        As in `Kind`.
    """

    function: str
    dtype: str
    widths: tuple[int, int | None]
    aligned: tuple[bool, bool]


def _kinds(count: int) -> Iterator[PermuteKind]:
    options = {
        "function": ("to_half", "to_interleaved"),
        "dtype": DTYPES,
        "widths": (*(widths[:2] for widths in WIDTHS), (64, None), (130, None), (2050, 2044)),
        "aligned": ALIGNED,
    }
    for hand in dealt(count, 8, options):
        yield PermuteKind(**hand)


KINDS = tuple(_kinds(60))


@dataclass(frozen=True, kw_only=True)
class PermuteCase:
    """One permutation.

    Parameters
    ----------
    kind : PermuteKind
        What is compiled in.
    rows : tuple of int
        Axes before the channels.
    way : {"new", "out", "in place"}
        Where the result goes.
    again : bool
        Whether the call is made twice.
    order, padding : tuple of int
        As in `Case`.
    repeated : bool
        Whether all of the first axis is one row, unless it is written.
    seed : int
        Of the bits.
    """

    kind: PermuteKind
    rows: tuple[int, ...]
    way: str
    again: bool
    order: tuple[int, ...]
    padding: tuple[int, ...]
    repeated: bool
    seed: int


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[PermuteKind, ...] = KINDS) -> PermuteCase:
    """Draw a case."""
    kind = draw(st.sampled_from(kinds))
    ways = ("new", "out", "in place") if kind.widths[0] <= MOST_IN_PLACE else ("new", "out")
    return PermuteCase(
        kind=kind,
        rows=draw(st.sampled_from(ROWS)),
        way=draw(st.sampled_from(ways)),
        again=draw(st.booleans()),
        order=tuple(draw(st.permutations(range(4)))),
        padding=tuple(draw(st.integers(0, 2)) for _ in range(5)),
        repeated=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def call_of(case: PermuteCase) -> Call:
    """Return the call that a case is."""
    arena, kind = Arena(), case.kind
    dtype = RAW[kind.dtype] if kind.dtype in RAW else np.dtype(kind.dtype)
    head_dim, rotary_dim = kind.widths
    shape = (*case.rows, head_dim)
    lie = scattered(shape, case.order, case.padding, aligned=kind.aligned[0])
    if case.repeated and case.rows and case.way != "in place":
        lie = lie.repeated(0)
    size = int(np.prod(shape)) * dtype.itemsize
    bits = generator(case.seed, 0).integers(0, 256, size, np.uint8)
    x = arena.put(bits.view(dtype).reshape(shape), lie)
    results, options = None, {}
    if case.way == "out":
        turned = scattered(shape, case.order[::-1], case.padding, aligned=kind.aligned[1])
        results = arena.add(dtype, turned)
        options["out"] = results[0]
    elif case.way == "in place":
        results = [x]

    def check(found: list[Array], before: Array, _: Array) -> list[Finding]:
        wanted: Any = getattr(ropelab, kind.function)(x.of(before), rotary_dim)
        same_bits(found[0], wanted, "channels")
        return [Finding(kind.dtype, 0.0, 0.0)]

    return Call(
        arena=arena,
        function=kind.function,
        way=case.way,
        again=case.again,
        arguments=(x, rotary_dim),
        options=options,
        results=results,
        described=[(shape, kind.dtype)],
        check=check,
    )

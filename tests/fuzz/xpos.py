"""Rotations that decay: `apply_xpos_qk`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import ropelab
from ropelab.golden.case import Array
from ropelab.precision import widen

from .call import Call
from .cases import KIND, Case, Kind, dealt, drawn, farthest, kind_of, positions_of, spectrum_of
from .errors import BOUNDS, Finding, Rotated, of_rotated
from .memory import Arena
from .tensors import inputs, listed, results_of

__all__ = ["KINDS", "XposCase", "call_of", "cases"]

# How often a pair may have decayed by its whole base, 2/7 at least: within the range of the dtype.
REACH = {"float16": 4, "bfloat16": 40, "float32": 40, "float64": 40}


# Its arguments come in tuples of many kinds, of which the types say nothing.
specified: Any = ropelab.apply_xpos_qk


def _kinds(count: int) -> Iterator[Kind]:
    one_axis = {"axes": (1,), "output_layout": (None,)}
    for hand in dealt(count, 5, KIND | one_axis):
        head_dim, rotary_dim, _ = hand["widths"]
        yield Kind(**kind_of(hand | {"widths": (head_dim, rotary_dim, 0)}))


KINDS = tuple(_kinds(48))


@dataclass(frozen=True, kw_only=True)
class XposCase(Case):
    """One rotation with its decay, from a centre that may be anywhere."""

    scale_base: float
    centre: int

    @property
    def reach(self) -> int:
        """How far from the centre a position may be."""
        return int(REACH[self.kind.dtype] * self.scale_base)


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[Kind, ...] = KINDS) -> XposCase:
    """Draw a case."""
    kind = draw(st.sampled_from(kinds))
    limits, largest = np.iinfo(kind.integer), farthest(kind)
    low, high = max(limits.min, -largest), min(limits.max, largest)
    middle = st.one_of(st.sampled_from((low, 0, high)), st.integers(low, high))
    scale_base = draw(st.sampled_from((16.0, 512.0, 8192.5)))
    return XposCase(**drawn(draw, kind), scale_base=scale_base, centre=draw(middle))


def call_of(case: XposCase) -> Call:
    """Return the call that a case is."""
    arena, kind = Arena(), case.kind
    sources = inputs(arena, case, kind.heads)
    results, out = results_of(arena, case, kind.heads, kind.dtype, sources)
    largest = farthest(kind)
    ids = positions_of(case, largest=largest, centre=case.centre, reach=case.reach)
    spectrum = spectrum_of(case)
    options: dict[str, Any] = {
        "layout": kind.layout,
        "tensor_format": case.tensor_format,
        "inverse": case.inverse,
        "angles": kind.angles,
        "scale_base": case.scale_base,
        "centre": case.centre,
    }

    def check(found: list[Array], before: Array, _: Array) -> list[Finding]:
        values = [place.of(before) for place in sources]
        wanted = specified(*map(widen, values), ids, spectrum, **options)
        farthest_off = np.abs(ids.astype(np.int64) - case.centre).max(initial=0)
        exponent = float(farthest_off) / case.scale_base
        return [
            _finding(case, exponent, *three) for three in zip(values, found, wanted, strict=True)
        ]

    positions = listed(arena, ids, transposed=case.rows == "transposed")
    return Call(
        arena=arena,
        function="apply_xpos_qk",
        way=case.way,
        again=case.again,
        arguments=(*sources, positions, spectrum),
        options=options | out,
        results=results,
        described=[(place.lie.shape, kind.dtype) for place in sources],
        check=check,
    )


def _finding(case: XposCase, exponent: float, before: Array, after: Array, want: Array) -> Finding:
    dtype, (_, *rotated_at) = case.kind.dtype, case.kind.widths
    rotated, bound = Rotated(case.kind.layout, *rotated_at), BOUNDS[case.kind.dtype]
    if dtype == "float64":
        # As in the goldens: a power within an ulp and its product with cos and sin; and what the
        # specification's base and exponent, half an ulp each, become in so high a power.
        bound += 1.5 + exponent * (0.5 + 0.63)
    return Finding(dtype, of_rotated(before, after, want, rotated, dtype, bits=True), bound)

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
from .cases import KIND, dealt, drawn, farthest, positions_of, spectrum_of
from .errors import BOUNDS, SCALED, Finding, Rotated, of_rotated
from .memory import Arena
from .storage import SCALES, STORAGE, StoredCase, StoredKind, stored_kind_of
from .tensors import inputs, listed, results_of

__all__ = ["KINDS", "XposCase", "call_of", "cases"]

# How often a pair may have decayed by its whole base, 2/7 at least: over any of the scales within
# the normal numbers of the results' dtype.
REACH = {"float8_e4m3fn": 2, "float8_e5m2": 4, "float16": 4}
REACH |= dict.fromkeys(("bfloat16", "float32", "float64"), 40)


# Its arguments come in tuples of many kinds, of which the types say nothing.
specified: Any = ropelab.apply_xpos_qk


def _kinds(count: int) -> Iterator[StoredKind]:
    one_axis = {"axes": (1,), "output_layout": (None,)}
    for hand in dealt(count, 5, KIND | one_axis | STORAGE):
        head_dim, rotary_dim, _ = hand["widths"]
        yield StoredKind(**stored_kind_of(hand | {"widths": (head_dim, rotary_dim, 0)}))


KINDS = tuple(_kinds(48))


@dataclass(frozen=True, kw_only=True)
class XposCase(StoredCase):
    """One rotation with its decay, from a centre that may be anywhere."""

    scale_base: float
    centre: int

    @property
    def reach(self) -> int:
        """How far from the centre a position may be."""
        return int(REACH[self.output] * self.scale_base)


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[StoredKind, ...] = KINDS) -> XposCase:
    """Draw a case."""
    kind = draw(st.sampled_from(kinds))
    limits, largest = np.iinfo(kind.integer), farthest(kind)
    low, high = max(limits.min, -largest), min(limits.max, largest)
    middle = st.one_of(st.sampled_from((low, 0, high)), st.integers(low, high))
    scale_base = draw(st.sampled_from((16.0, 512.0, 8192.5)))
    return XposCase(
        **drawn(draw, kind),
        scale_base=scale_base,
        centre=draw(middle),
        scale=draw(st.sampled_from(SCALES)),
    )


def call_of(case: XposCase) -> Call:
    """Return the call that a case is."""
    arena, kind = Arena(), case.kind
    sources = inputs(arena, case, kind.heads)
    results, out = results_of(arena, case, kind.heads, case.output, sources)
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
        wanted = specified(*map(widen, values), ids, spectrum, **options, **case.quotient)
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
        options=options | case.storage | out,
        results=results,
        described=[(place.lie.shape, case.output) for place in sources],
        check=check,
    )


def _finding(case: XposCase, exponent: float, before: Array, after: Array, want: Array) -> Finding:
    dtype, (_, *rotated_at) = case.output, case.kind.widths
    rotated, bound = Rotated(case.kind.layout, *rotated_at), BOUNDS[dtype]
    if dtype == "float64":
        # As in the goldens: a power within an ulp and its product with cos and sin; and what the
        # specification's base and exponent, half an ulp each, become in so high a power.
        bound += 1.5 + exponent * (0.5 + 0.63)
        bound += SCALED[dtype] if case.quotient else 0.0  # other formats are scaled in float64
    error = of_rotated(before, after, want, rotated, dtype, bits=not case.storage)
    return Finding(dtype, error, bound)

"""Rotations: `apply_rotary`, `apply_rotary_cached`, and both of queries and keys together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

import ropelab
from ropelab.golden.case import Array
from ropelab.precision import widen

from .call import Call
from .cases import KIND, dealt, drawn, farthest, positions_of, spectrum_of
from .errors import Finding, Rotated, bound_of, of_rotated, unit_of
from .memory import Arena
from .storage import STORAGE, StoredCase, StoredKind, stored_kind_of
from .tensors import inputs, listed, results_of

__all__ = ["KINDS", "RotaryCase", "RotaryKind", "call_of", "cases"]


@dataclass(frozen=True)
class RotaryKind(StoredKind):
    """What a rotation is compiled for.

    Parameters
    ----------
    table_dtype : str or None
        Of given cosines and sines; None to compute them from positions.
    """

    table_dtype: str | None


def _kinds(count: int) -> Iterator[RotaryKind]:
    own = {"table_dtype": (None, None, None, "float32", "own")}
    for hand in dealt(count, 4, KIND | own | STORAGE):
        if hand["table_dtype"] == "own":
            hand["table_dtype"] = hand["dtype"]
        yield RotaryKind(**stored_kind_of(hand))


KINDS = tuple(_kinds(100))


@dataclass(frozen=True, kw_only=True)
class RotaryCase(StoredCase):
    """One rotation, of one scale for both tensors."""

    kind: RotaryKind
    scale: float

    @property
    def heads(self) -> tuple[int, ...]:
        """Heads of each tensor: of one without keys."""
        q, k = self.kind.heads
        return (q, k) if k else (q,)


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[RotaryKind, ...] = KINDS) -> RotaryCase:
    """Draw a case."""
    kind = draw(st.sampled_from(kinds))
    return RotaryCase(**drawn(draw, kind), scale=draw(st.sampled_from((0.25, 1.0, 3.0))))


def call_of(case: RotaryCase) -> Call:
    """Return the call that a case is."""
    arena, kind = Arena(), case.kind
    sources = inputs(arena, case, case.heads)
    results, out = results_of(arena, case, case.heads, case.output, sources)
    told = case.placement | {"inverse": case.inverse}
    numbers: tuple[Any, ...]  # by which the specification rotates
    given: tuple[Any, ...]
    specified: Any
    spectrum = spectrum_of(case)
    if kind.table_dtype is None:
        ids = positions_of(case, largest=farthest(kind))
        given = (listed(arena, ids, transposed=case.rows == "transposed"), spectrum)
        told["angles"] = kind.angles
        name, specified, numbers = "apply_rotary", ropelab.apply_rotary, (ids, spectrum)
    else:
        numbers = ropelab.cos_sin(positions_of(case), spectrum, dtype=kind.table_dtype)
        given = tuple(listed(arena, table) for table in numbers)
        name, specified = "apply_rotary_cached", ropelab.apply_rotary_cached
    name += "_qk" * (len(sources) > 1)

    def check(found: list[Array], before: Array, _: Array) -> list[Finding]:
        values = [place.of(before) for place in sources]
        wanted = [specified(widen(x), *numbers, **told, **case.quotient) for x in values]
        return [_finding(case, *three) for three in zip(values, found, wanted, strict=True)]

    return Call(
        arena=arena,
        function=name,
        way=case.way,
        again=case.again,
        arguments=(*sources, *given),
        options=told | case.storage | out,
        results=results,
        described=[(place.lie.shape, case.output) for place in sources],
        check=check,
    )


def _finding(case: RotaryCase, before: Array, after: Array, want: Array) -> Finding:
    kind, unit = case.kind, unit_of(case.output, case.kind.dtype)
    layout = kind.layout if case.inverse else kind.output_layout
    rotated = Rotated(layout, *kind.widths[1:])
    # A table has any norm, that of zero too.
    floor = 0.0 if kind.table_dtype is None else 1.0 / case.quotient.get("scale", 1.0)
    bits = not case.storage
    error = of_rotated(before, after, want, rotated, unit, bits=bits, floor=floor)
    return Finding(unit, error, bound_of(unit, scaled=bool(case.quotient)))

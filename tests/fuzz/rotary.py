"""Rotations: `apply_rotary`, `apply_rotary_cached`, and both of queries and keys together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

import ropelab
from ropelab.golden.case import Array
from ropelab.precision import widen

from .angles import angles_of
from .call import Call
from .cases import ANGLES, KIND, dealt, drawn
from .errors import Finding, Rotated, bound_of, of_rotated, unit_of
from .memory import Arena
from .storage import STORAGE, StoredCase, StoredKind, stored_kind_of
from .tables import LENGTHS, READINGS, Lookup, Tables, tables_of
from .tensors import inputs, results_of

__all__ = ["KINDS", "MEASURED", "RotaryCase", "RotaryKind", "call_of", "cases"]


@dataclass(frozen=True)
class RotaryKind(StoredKind):
    """What a rotation is compiled for.

    Parameters
    ----------
    table_dtype : str or None
        Of given cosines and sines; None to compute them from positions.
    reading : {"plain", "repeated", "indexed", "indexed, repeated"}
        How these are read.
    """

    table_dtype: str | None
    reading: str


def _kinds(count: int) -> Iterator[RotaryKind]:
    own = {
        "table_dtype": (None, None, None, "float32", "own"),
        "reading": READINGS,
    }
    for hand in dealt(count, 4, KIND | ANGLES | own | STORAGE):
        if hand["table_dtype"] == "own":
            hand["table_dtype"] = hand["dtype"]
        if hand["table_dtype"] is not None:
            hand |= {"axes": 1} if "indexed" in hand["reading"] else {"source": "ids"}
        yield RotaryKind(**stored_kind_of(hand))


# Shapes of the benchmark, of all ways in which it shares many tokens: few of them are dealt.
MEASURED = (
    *(("bfloat16", (32, 8), width, "half") for width in ((128, 128), (128, 64))),
    *(("bfloat16", (64, 8), width, "half") for width in ((96, 96), (128, 128), (256, 256))),
    ("bfloat16", (64, 8), (96, 96), "interleaved"),
    ("bfloat16", (32, 8), (256, 256), "interleaved"),
    ("bfloat16", (32, 32), (96, 24), "half"),
    ("bfloat16", (8, 1), (128, 128), "half"),
    ("float32", (32, 8), (128, 128), "interleaved"),
)


def _measured() -> Iterator[RotaryKind]:
    for dtype, heads, (head_dim, rotary_dim), layout in MEASURED:
        yield RotaryKind(
            dtype=dtype,
            widths=(head_dim, rotary_dim, 0),
            heads=heads,
            layout=layout,
            output_layout=layout,
            angles="exact",
            axes=1,
            periodic=False,
            integer="int64",
            aligned=(True, True),
            multiprocessors=1,
            source="ids",
            on_device=False,
            table_dtype=None,
            reading="plain",
            output=None,
            scaled=False,
        )


KINDS = (*_kinds(100), *_measured())


@dataclass(frozen=True, kw_only=True)
class RotaryCase(StoredCase):
    """One rotation, of one scale for both tensors."""

    kind: RotaryKind
    scale: float
    lookup: Lookup

    @property
    def heads(self) -> tuple[int, ...]:
        """Heads of each tensor: of one without keys."""
        q, k = self.kind.heads
        return (q, k) if k else (q,)


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[RotaryKind, ...] = KINDS) -> RotaryCase:
    """Draw a case."""
    kind = draw(st.sampled_from(kinds))
    lookup = Lookup(
        draw(st.sampled_from(LENGTHS)),
        draw(st.sampled_from(("raise", "clamp"))),
        draw(st.sampled_from((None, 0, 1))),
    )
    scale = draw(st.sampled_from((0.25, 1.0, 3.0)))
    return RotaryCase(**drawn(draw, kind), scale=scale, lookup=lookup)


def call_of(case: RotaryCase) -> Call:
    """Return the call that a case is."""
    arena, kind = Arena(), case.kind
    sources = inputs(arena, case, case.heads)
    results, out = results_of(arena, case, case.heads, case.output, sources)
    told = case.placement | {"inverse": case.inverse}
    numbers: Sequence[Any]  # by which the specification rotates
    given: tuple[Any, Any]
    specified: Any
    read: dict[str, Any] = {}
    tables: Tables | None = None
    if kind.table_dtype is None:
        *numbers, given = angles_of(arena, case)
        told["angles"] = kind.angles
        name, specified = "apply_rotary", ropelab.apply_rotary
    else:
        tables = tables_of(arena, case, kind.table_dtype, kind.reading, case.lookup)
        numbers, given, read = tables.numbers, tables.passed, tables.options
        name, specified = "apply_rotary_cached", ropelab.apply_rotary_cached
    name += "_qk" * (len(sources) > 1)

    def check(found: list[Array], before: Array, after: Array) -> list[Finding]:
        if tables is not None:
            tables.check_flag(after)
        values = [place.of(before) for place in sources]
        wanted = [specified(widen(x), *numbers, **told, **case.quotient) for x in values]
        return [_finding(case, *three) for three in zip(values, found, wanted, strict=True)]

    return Call(
        arena=arena,
        function=name,
        way=case.way,
        again=case.again,
        arguments=(*sources, *given),
        options=told | read | case.storage | out,
        results=results,
        described=[(place.lie.shape, case.output) for place in sources],
        written=() if tables is None else tables.written,
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

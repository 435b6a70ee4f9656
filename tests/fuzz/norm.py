"""Norms and rotations: `apply_norm_rotary_qk`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
from hypothesis import strategies as st

import ropelab
from ropelab.float8 import LARGEST
from ropelab.golden.case import Array
from ropelab.precision import eps, narrow, widen

from .angles import angles_of
from .call import Call
from .cases import ANGLES, DTYPES, KIND, dealt, drawn, values_of
from .errors import Finding, Rotated, bound_of, of_rotated
from .memory import Arena, Place
from .storage import SCALES, STORAGE, StoredCase, StoredKind, stored_kind_of
from .tensors import inputs, results_of, scattered

__all__ = ["KINDS", "NormCase", "NormKind", "call_of", "cases"]


# Its arguments come in tuples of many kinds, of which the types say nothing.
specified: Any = ropelab.apply_norm_rotary_qk


@dataclass(frozen=True)
class NormKind(StoredKind):
    """What a norm is compiled for.

    Parameters
    ----------
    across_heads : bool
        Whether the mean goes over all heads of a token.
    weight_dtype : str
        Of both weights.
    weighted : (bool, bool)
        Whether q and k have weights.
    """

    across_heads: bool
    weight_dtype: str
    weighted: tuple[bool, bool]


def _kinds(count: int) -> Iterator[NormKind]:
    own = {
        "across_heads": (False, False, True),
        "weight_dtype": DTYPES,
        "weighted": (*[(True, True)] * 5, (True, False), (False, True), (False, False)),
    }
    for hand in dealt(count, 6, KIND | ANGLES | own | STORAGE):
        yield NormKind(**stored_kind_of(hand))


KINDS = tuple(_kinds(80))


@dataclass(frozen=True, kw_only=True)
class NormCase(StoredCase):
    """One norm and rotation.

    Parameters
    ----------
    eps, weight_offset : float
        As in `ropelab.apply_norm_rotary_qk`.
    power : int
        Of 2, by which all numbers are larger; far below 1, eps decides.
    flat : bool
        Whether the weights of all heads are one row.
    gap : int
        Channels between the weights of two heads, where they are not.
    """

    kind: NormKind
    eps: float
    weight_offset: float
    power: int
    flat: bool
    gap: int


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[NormKind, ...] = KINDS) -> NormCase:
    """Draw a case."""
    kind = draw(st.sampled_from(kinds))
    return NormCase(
        **drawn(draw, kind),
        eps=draw(st.sampled_from((0.0, 1e-6, 1e-5, 0.25))),
        weight_offset=draw(st.sampled_from((0.0, 1.0, -0.25))),
        power=draw(st.sampled_from((0, -6, 10))),
        flat=draw(st.booleans()),
        gap=draw(st.integers(0, 2)),
        scale=draw(st.sampled_from(SCALES)),
    )


def call_of(case: NormCase) -> Call:
    """Return the call that a case is."""
    arena, kind = Arena(), case.kind
    # Where eps decides, numbers are so small that eight bits hold few of them as normal ones.
    power = max(case.power, 0) if case.output in LARGEST else case.power
    sources = inputs(arena, case, kind.heads, power)
    results, out = results_of(arena, case, kind.heads, case.output, sources)
    weights = [_weight(arena, case, number) for number in range(2)]
    ids, spectrum, angles = angles_of(arena, case)
    options: dict[str, Any] = case.placement | {
        "angles": kind.angles,
        "eps": case.eps,
        "weight_offset": case.weight_offset,
        "across_heads": kind.across_heads,
    }

    def check(found: list[Array], before: Array, _: Array) -> list[Finding]:
        values = [place.of(before) for place in sources]
        factors = [None if place is None else widen(place.of(before)) for place in weights]
        wanted = specified(*map(widen, values), *factors, ids, spectrum, **options, **case.quotient)
        return [_finding(case, *three) for three in zip(values, found, wanted, strict=True)]

    return Call(
        arena=arena,
        function="apply_norm_rotary_qk",
        way=case.way,
        again=case.again,
        arguments=(*sources, *weights, *angles),
        options=options | case.storage | out,
        results=results,
        described=[(place.lie.shape, case.output) for place in sources],
        check=check,
    )


def _weight(arena: Arena, case: NormCase, number: int) -> Place | None:
    kind, head_dim, heads = case.kind, case.kind.widths[0], case.kind.heads[number]
    if not kind.weighted[number]:
        return None
    shape: tuple[int, ...] = (head_dim,)
    if kind.across_heads:
        shape = (heads * head_dim,) if case.flat else (heads, head_dim)
    lie = scattered(shape, (0,), (case.gap,), aligned=kind.aligned[1])
    weight = values_of(case.seed, 10 + number, shape, kind.weight_dtype)
    if case.weight_offset:  # of its sign, lest a sum be subnormal in a result's format
        weight = narrow(np.copysign(widen(weight), case.weight_offset), kind.weight_dtype)
    return arena.put(weight, lie)


def _finding(case: NormCase, before: Array, after: Array, want: Array) -> Finding:
    kind = case.kind
    rotated = Rotated(kind.output_layout, *kind.widths[1:])
    error = of_rotated(before, after, want, rotated, case.output, bits=False)
    return Finding(case.output, error, _bound(case))


def _bound(case: NormCase) -> float:
    """Return the bound of a rotation and of the norm before it, as the goldens count it."""
    kind, output = case.kind, case.output
    count = kind.widths[0] * (max(kind.heads) if kind.across_heads else 1)
    # In halves of an eps, of which a root takes half: a sum of squares by eights and then by twos;
    # then mean, eps, root and division, the products with x and with the weight, and its own sum.
    depth = 8 + ceil(log2(max(count / 8, 1)))
    extra = ((depth + 1) / 2 + 6) / 2
    rotated = bound_of(output, scaled=bool(case.quotient))
    if output == "float64":
        return rotated + 2 * extra  # in which the specification norms as well
    return rotated + extra * eps("float32") / eps(output)

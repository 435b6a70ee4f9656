"""Rotations on the way into caches: `apply_rotary_kv_cache`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import ropelab
from ropelab.checks import TENSOR_FORMATS
from ropelab.golden.case import Array
from ropelab.precision import stored_dtype, widen

from .angles import angles_of
from .call import Call, Written
from .cases import (
    ANGLES,
    INTEGERS,
    KIND,
    OUTPUTS,
    Case,
    Kind,
    dealt,
    drawn,
    generator,
    kind_of,
    token_axes_of,
    values_of,
)
from .errors import Finding, Rotated, bound_of, of_rotated, unit_of
from .memory import Arena, Place
from .tensors import inputs, listed, results_of, scattered

__all__ = ["KINDS", "KvCacheCase", "KvCacheKind", "call_of", "cases"]

# Blocks and their rows: paged, contiguous, of one row each, and none.
CACHES = ((4, 6), (1, 24), (24, 1), (7, 5), (3, 64), (40, 16), (1300, 1), (1, 1), (0, 6))
MOST_ELEMENTS = 1 << 17
# Its arguments come in tuples of many kinds, of which the types say nothing.
specified: Any = ropelab.apply_rotary_kv_cache


@dataclass(frozen=True)
class KvCacheKind(Kind):
    """What a rotation into caches is compiled for.

    Parameters
    ----------
    value_dim : int or None
        head_dim of the values; None for that of the keys.
    stored : (str or None, str or None)
        Other dtypes of the cache of keys and of that of values than that of the inputs.
    scaled : (bool, bool)
        Whether keys and values are divided by a scale.
    slot : str
        Dtype of the slots.
    """

    value_dim: int | None
    stored: tuple[str | None, str | None]
    scaled: tuple[bool, bool]
    slot: str


def _kinds(count: int) -> Iterator[KvCacheKind]:
    own = {
        "value_dim": (None, None, None, 64, 96, 7, 1),
        "stored_k": (*OUTPUTS, *[None] * 6),
        "stored_v": (*OUTPUTS, *[None] * 6),
        "scaled": ((False, False), (False, False), (True, True), (True, False), (False, True)),
        "slot": (*INTEGERS, "int64", "int64", "int32"),
    }
    for hand in dealt(count, 7, KIND | ANGLES | own):
        keys, values = (
            None if stored == hand["dtype"] else stored
            for stored in (hand.pop("stored_k"), hand.pop("stored_v"))
        )
        yield KvCacheKind(**kind_of(hand), stored=(keys, values))


KINDS = tuple(_kinds(100))


@dataclass(frozen=True, kw_only=True)
class KvCacheCase(Case):
    """One rotation into caches.

    Parameters
    ----------
    caches : (int, int)
        Blocks and rows of each.
    together : bool
        Whether both caches lie in one memory, if they are alike.
    cache_order, cache_padding : tuple of int
        As `order` and `padding`.
    slots : {"all", "transposed", "scalar"}
        Shape and strides of the slots; a scalar is one for all, of no token.
    past : bool
        Whether some slots lie past the caches.
    flag : int or None
        What the overrun flag holds before; None if there is none.
    scales : (float, float)
        Of keys and values, if the kind wants them.
    scales_on_device : bool
        Whether these are tensors.
    """

    kind: KvCacheKind
    caches: tuple[int, int]
    together: bool
    cache_order: tuple[int, ...]
    cache_padding: tuple[int, ...]
    slots: str
    past: bool
    flag: int | None
    scales: tuple[float, float]
    scales_on_device: bool

    @property
    def value_dim(self) -> int:
        """head_dim of the values."""
        return self.kind.value_dim or self.kind.widths[0]


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[KvCacheKind, ...] = KINDS) -> KvCacheCase:
    """Draw a case."""
    kind = draw(st.sampled_from(kinds))
    a_row = kind.heads[1] * max(kind.widths[0], kind.value_dim or 0)
    caches = [c for c in CACHES if c[0] * c[1] * a_row <= MOST_ELEMENTS]
    scale = st.sampled_from((0.25, 1.0, 3.0))
    return KvCacheCase(
        **drawn(draw, kind) | {"inverse": False},
        caches=draw(st.sampled_from(caches)),
        together=draw(st.booleans()),
        cache_order=tuple(draw(st.permutations(range(3)))),
        cache_padding=tuple(draw(st.integers(0, 2)) for _ in range(4)),
        slots=draw(st.sampled_from(("all", "all", "all", "transposed", "transposed", "scalar"))),
        past=draw(st.booleans()),
        flag=draw(st.sampled_from((None, 0, 1))),
        scales=(draw(scale), draw(scale)),
        scales_on_device=draw(st.booleans()),
    )


def call_of(case: KvCacheCase) -> Call:
    """Return the call that a case is."""
    arena, kind = Arena(), case.kind
    sources = _inputs(arena, case)
    results, out = results_of(arena, case, kind.heads[:1], kind.dtype, sources[:1])
    caches = _caches(arena, case)
    ids, spectrum, angles = angles_of(arena, case)
    slots, count = _slots(case), case.caches[0] * case.caches[1]
    numbers = np.broadcast_to(slots.astype(np.int64), token_axes_of(case))
    kept = (numbers >= 0) & (numbers < count)
    rows = np.divmod(numbers[kept], case.caches[1])
    told = case.placement | {"angles": kind.angles}
    both = dict(zip(("k_scale", "v_scale"), case.scales, strict=True))
    scales = {
        name: s for (name, s), wanted in zip(both.items(), kind.scaled, strict=True) if wanted
    }
    options: dict[str, Any] = told | scales | out
    if case.scales_on_device:
        options |= {name: listed(arena, np.array([s], np.float32)) for name, s in scales.items()}
    written: list[Written] = [(cache, rows) for cache in caches]
    flag = listed(arena, np.array([case.flag or 0], np.int32))
    if case.flag is not None:
        options["overrun_flag"] = flag
        written.append((flag, ...))

    def check(found: list[Array], before: Array, after: Array) -> list[Finding]:
        overrun = case.flag is not None and bool((numbers >= count).any())
        assert flag.of(after).tolist() == [case.flag or int(overrun)], "the overrun flag"
        values = [place.of(before) for place in sources]
        whole = [np.zeros(cache.lie.shape) for cache in caches]
        turned = specified(
            *map(widen, values),
            ids,
            spectrum,
            *whole,
            np.where(kept, numbers, -1),
            **told,
            **scales,
        )
        came = [_by_token(x, case.tensor_format)[kept] for x in values[1:]]
        keys, held = (
            (cache.of(after)[rows], wide[rows]) for cache, wide in zip(caches, whole, strict=True)
        )
        rotated, none = Rotated(kind.output_layout, *kind.widths[1:]), Rotated("half", 0, 0)
        return [
            _finding(kind, rotated, None, False, values[0], found[0], turned),
            _finding(kind, rotated, kind.stored[0], kind.scaled[0], came[0], *keys),
            _finding(kind, none, kind.stored[1], kind.scaled[1], came[1], *held),
        ]

    where = listed(arena, slots, transposed=case.slots == "transposed")
    return Call(
        arena=arena,
        function="apply_rotary_kv_cache",
        way=case.way,
        again=case.again,
        arguments=(*sources, *angles, *caches, where),
        options=options,
        results=results,
        described=[(sources[0].lie.shape, kind.dtype)],
        written=tuple(written),
        check=check,
    )


def _inputs(arena: Arena, case: KvCacheCase) -> list[Place]:
    """Put queries, keys and values; values of another width lie apart from the others."""
    q_heads, k_heads = case.kind.heads
    if case.value_dim == case.kind.widths[0]:
        return inputs(arena, case, (q_heads, k_heads, k_heads))
    both = inputs(arena, case, case.kind.heads)
    *sizes, _ = both[1].lie.shape
    shape = (*sizes, case.value_dim)
    lie = scattered(shape, case.order[::-1], case.padding[::-1], aligned=case.kind.aligned[0])
    return [*both, arena.put(values_of(case.seed, 3, shape, case.kind.dtype), lie)]


def _caches(arena: Arena, case: KvCacheCase) -> list[Place]:
    """Put caches of random bits, one beside the other if they can be."""
    kind, dtypes = case.kind, [stored_dtype(s or case.kind.dtype) for s in case.kind.stored]
    widths = [kind.widths[0], case.value_dim]
    order, padding = case.cache_order, case.cache_padding
    if case.together and dtypes[0] == dtypes[1] and widths[0] == widths[1]:
        shape = (*case.caches, 2, kind.heads[1], widths[0])
        turned = (*(axis + (axis == 2) for axis in order), 2)  # keys and values of one head adjoin
        both = scattered(shape, turned, padding, aligned=kind.aligned[1])
        halves = (half.without(2) for half in both.split(2, [1, 1]))
        places = arena.add(dtypes[0], *halves)
    else:
        shapes = [(*case.caches, kind.heads[1], width) for width in widths]
        places = [
            place
            for shape, dtype in zip(shapes, dtypes, strict=True)
            for place in arena.add(dtype, scattered(shape, order, padding, aligned=kind.aligned[1]))
        ]
    for number, place in enumerate(places):
        size = int(np.prod(place.lie.shape)) * place.dtype.itemsize
        bits = generator(case.seed, 20 + number).integers(0, 256, size, np.uint8)
        arena.fill(place, bits.view(place.dtype).reshape(place.lie.shape))
    return places


def _slots(case: KvCacheCase) -> Array:
    """Return a slot of its own for most tokens; for others one before or past the caches."""
    count, random_numbers = case.caches[0] * case.caches[1], generator(case.seed, 30)
    limits = np.iinfo(case.kind.slot)
    if limits.min == 0 and limits.max < count:  # it could not say that a token has none
        limits = np.iinfo(np.int64)
    nowhere = [s for s in (-1, -2, limits.min) if s < 0 and s >= limits.min]
    if case.past or not nowhere:
        nowhere += [
            s for s in (count, count + 1, 3 * count + 7, limits.max) if count <= s <= limits.max
        ]
    tokens = () if case.slots == "scalar" else token_axes_of(case)
    slots = random_numbers.choice(np.array(nowhere, np.int64), tokens)
    if case.slots != "scalar":
        free = random_numbers.permutation(min(count, int(limits.max) + 1))
        named = np.flatnonzero(random_numbers.random(slots.size) < 0.75)[: free.size]
        slots.reshape(-1)[named] = free[: named.size]
    return np.asarray(slots).astype(limits.dtype)


def _by_token(x: Array, tensor_format: str) -> Array:
    axes = TENSOR_FORMATS[tensor_format]
    return x.transpose(*axes.token_axes, axes.head_axis, -1)


def _finding(
    kind: Kind,
    rotated: Rotated,
    stored: str | None,
    scaled: bool,
    came: Array,
    got: Array,
    want: Array,
) -> Finding:
    """Look at rows as they came, as they are stored, and as they should be before rounding."""
    unit = unit_of(stored or kind.dtype, kind.dtype)
    error = of_rotated(came, got, want, rotated, unit, bits=not (stored or scaled))
    return Finding(unit, error, bound_of(unit, scaled=scaled))

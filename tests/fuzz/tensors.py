"""How the tensors of a fuzzed rotation lie in memory."""

from __future__ import annotations

from typing import Any

from ropelab.golden.case import Array
from ropelab.precision import float_dtype, stored_dtype

from .cases import Case, token_axes_of, values_of
from .memory import Arena, Lie, Place

__all__ = ["inputs", "listed", "results_of", "scattered"]


def inputs(arena: Arena, case: Case, heads: tuple[int, ...], power: int = 0) -> list[Place]:
    """Put tensors of the same tokens and of so many heads each, filled with numbers."""
    shapes = [_shape(case, count) for count in heads]
    head_axis = case.tensor_format.index("h")
    dtype = float_dtype(case.kind.dtype)
    if case.lie == "packed":
        whole = _lie(case, _shape(case, sum(heads) + 1))  # the last head belongs to nobody
        places = arena.add(dtype, *whole.split(head_axis, list(heads)))
    else:
        lies = [_lie(case, shape) for shape in shapes]
        if case.lie == "repeated" and case.way != "in place":
            lies = [lie.repeated(head_axis) for lie in lies]
        places = [place for lie in lies for place in arena.add(dtype, lie)]
    for number, (place, shape) in enumerate(zip(places, shapes, strict=True), 1):
        arena.fill(place, values_of(case.seed, number, shape, case.kind.dtype, power))
    return places


def results_of(
    arena: Arena, case: Case, heads: tuple[int, ...], dtype: str, sources: list[Place]
) -> tuple[list[Place] | None, dict[str, Any]]:
    """Make room for results; return it, None for new tensors, and the options that say so."""
    if case.way == "new":
        return None, {}
    if case.way == "in place":
        return sources, {}
    lies = [_lie(case, _shape(case, count), turned=True) for count in heads]
    places = [place for lie in lies for place in arena.add(stored_dtype(dtype), lie)]
    return places, {"out": tuple(places) if len(places) > 1 else places[0]}


def listed(arena: Arena, array: Array, *, transposed: bool = False) -> Place:
    """Put an array in row-major order, or the reverse of it."""
    order = tuple(range(array.ndim))
    return arena.put(array, Lie.of(array.shape, order[::-1] if transposed else order, (), 1))


def scattered(
    shape: tuple[int, ...], order: tuple[int, ...], padding: tuple[int, ...], *, aligned: bool
) -> Lie:
    """Lay out a shape, whose last axis is the innermost, with gaps."""
    unit = 16 if aligned else 1  # elements: 16 bytes or more of any format
    axes = (*(axis for axis in order if axis < len(shape) - 1), len(shape) - 1)
    lie = Lie.of(shape, axes, padding, unit)
    return lie if aligned else lie.shifted(1)


def _shape(case: Case, heads: int) -> tuple[int, ...]:
    tokens = token_axes_of(case)
    sizes = {"t": tokens[0], "b": tokens[0], "s": tokens[-1], "h": heads}
    return tuple({**sizes, "d": case.kind.widths[0]}[axis] for axis in case.tensor_format)


def _lie(case: Case, shape: tuple[int, ...], *, turned: bool = False) -> Lie:
    order = case.order[::-1] if turned else case.order
    return scattered(shape, order, case.padding, aligned=case.kind.aligned[turned])

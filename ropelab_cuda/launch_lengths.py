"""Plans for the spectrum of a call's length: a maximum over all positions, then the rule."""

from __future__ import annotations

from typing import Any

from . import parameters
from .device_spectrum import numbers_words
from .launch import MAX_THREADS, Macros, Plan, specialise
from .length_rules import LengthRule
from .tokens import merge_axes
from .views import View

__all__ = ["blocks_for", "plan_length_spectrum", "words_for"]

ALONE = 8192  # positions that one block looks through by itself
EACH = 8 * MAX_THREADS  # positions of a block where there are several
MOST_BLOCKS = 1024


def blocks_for(positions: View) -> int:
    """Return how many blocks look for the largest position before the last one; 0 for few.

    Parameters
    ----------
    positions : View
        Integers of any shape.

    Returns
    -------
    int
        At most 1024.
    """
    count = _all_positions(positions).count
    return 0 if count <= ALONE else min(-(-count // EACH), MOST_BLOCKS)


def words_for(positions: View, pairs: int) -> int:
    """Return the size of the memory that a spectrum on the device needs.

    Parameters
    ----------
    positions : View
        Integers of any shape.
    pairs : int
        Number of frequencies.

    Returns
    -------
    int
        In words of 64 bits.
    """
    return numbers_words(pairs) + blocks_for(positions)


def plan_length_spectrum(positions: View, rule: LengthRule, buffer: View) -> list[Plan]:
    """Plan the spectrum of the length that some positions have come to.

    Parameters
    ----------
    positions : View
        Integers of any shape.
    rule : LengthRule
        What to compute.
    buffer : View
        As many words as `words_for` says: the spectrum's numbers, then one a block.

    Returns
    -------
    list of Plan
        One launch, or two in this order.

    Raises
    ------
    ValueError
        If the positions' strides do not reduce to three axes.
    """
    pairs = rule.spectrum.inv_freq.size
    plans, blocks = [], blocks_for(positions)
    if blocks:
        partial = buffer.pointer + 8 * numbers_words(pairs)
        structure: Any = parameters.LargestPositions(_all_positions(positions), partial)
        plans.append(_plan("largest_positions", {}, structure, positions, blocks, MAX_THREADS))
        positions = View(partial, (blocks,), (1,), "int64", buffer.device)
    kind: Any = type(rule.parameters)
    structure = parameters.length_spectrum(kind)(
        _all_positions(positions), buffer.pointer, rule.parameters
    )
    busy = min(max(pairs, structure.all.count), MAX_THREADS)
    threads = 1 << (busy - 1).bit_length()
    macros: Macros = {"RULE": rule.name, "PAIRS": pairs, "PERIODS": int(rule.has_periods)}
    plans.append(_plan("length_spectrum", macros, structure, positions, 1, threads))
    return plans


def _plan(
    kernel: str, macros: Macros, structure: Any, positions: View, blocks: int, threads: int
) -> Plan:
    """Put a plan together; both structures begin with the address of the positions."""
    result = [name for name, *_ in structure._fields_][1]
    macros = {**macros, "POSITION": parameters.INTEGER_TYPES[positions.dtype]}
    return Plan(
        specialise(kernel, macros, structure),
        (blocks, 1, 1),
        (threads, 1, 1),
        structure,
        ((0, "other", 0), (getattr(type(structure), result).offset, "output", 0)),
    )


def _all_positions(view: View) -> parameters.AllPositions:
    """Describe every element once, in any order: a maximum does not care."""
    if not view.size:
        return parameters.AllPositions(parameters.Positions(), 1, 1, 0)
    axes = [(n, step) for n, step in zip(view.shape, view.strides, strict=True) if step]
    axes.sort(key=lambda axis: -abs(axis[1]))
    shape, (strides,) = merge_axes(tuple(n for n, _ in axes), [tuple(step for _, step in axes)])
    merged = sorted(zip(shape, strides, strict=True), key=lambda axis: len(shape) == 3 and axis[0])
    if len(merged) > 3:
        msg = (
            f"position_ids: expected strides that reduce to three axes; got shape {view.shape} "
            f"with strides {view.strides}; make it contiguous"
        )
        raise ValueError(msg)
    merged = [(1, 0)] * (3 - len(merged)) + merged
    (_, axis_step), (outer, outer_step), (inner, inner_step) = merged
    positions = parameters.positions(view, (outer_step, inner_step), axes=1)
    positions.axis_stride = axis_step
    count = outer * inner * merged[0][0]
    return parameters.AllPositions(positions, outer, inner, count)

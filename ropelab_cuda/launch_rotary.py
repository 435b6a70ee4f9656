"""Plans for the rotation of queries and keys, in one launch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ropelab import Spectrum
from ropelab.pairs import Placement

from . import parameters
from .launch import FORMATS, Macros, Plan, grid_of, specialise
from .tokens import Axes, broadcast_strides
from .tuning import Tuning, choose_tuning
from .views import View
from .work import Operand, Scale, Work, arrange, token_axes

__all__ = ["plan_rotary", "plan_rotary_cached"]


def plan_rotary(
    operands: Sequence[Operand],
    position_ids: View,
    spectrum: Spectrum,
    *,
    place: Placement,
    angles: str,
    scales: Sequence[Scale] = (),
    tuning: Tuning | None = None,
) -> Plan:
    """Plan the rotation of one or two tensors by their positions, in one launch.

    Parameters
    ----------
    operands : sequence of (View, View)
        Each tensor and where its rotation goes: itself, or a tensor of the same shape, of any
        format.
    position_ids : View
        Integers, broadcastable to the tokens; a leading axis if the spectrum names several.
    spectrum : Spectrum
        The frequencies.
    place : Placement
        Where the pairs lie, and which way they turn.
    angles : str
        As in `ropelab.apply_rotary`.
    scales : sequence of float or View
        What is stored is divided by, for each tensor; by default it is not.
    tuning : Tuning, optional
        By default chosen from the shapes.

    Returns
    -------
    Plan
        What to launch.
    """
    numbers = parameters.Numbers.of(spectrum, angles, *(view.dtype for view in operands[0]))
    tokens = token_axes(operands[0][0].shape, place.tensor_format)
    strides = broadcast_strides(position_ids, tokens, skip=int(numbers.axes > 1))
    work = _work(operands, numbers.pairs, place, [strides], scales)
    structure = parameters.rotary(numbers)()
    structure.tensors = work.tensors
    structure.positions = parameters.positions(position_ids, work.others[0], numbers.axes)
    parameters.fill_spectrum(structure, spectrum, numbers, inverse=place.inverse)
    others = [type(structure).positions.offset + parameters.Positions.data.offset]
    macros = numbers.macros | {"POSITION": parameters.INTEGER_TYPES[position_ids.dtype]}
    chosen = tuning or choose_tuning(work, guesses=numbers.axes == 1)
    return _plan("rotary", macros, structure, work, others, scales, chosen)


def plan_rotary_cached(
    operands: Sequence[Operand],
    cos: View,
    sin: View,
    *,
    place: Placement,
    scales: Sequence[Scale] = (),
    tuning: Tuning | None = None,
) -> Plan:
    """Plan the rotation of one or two tensors by given cosines and sines, in one launch.

    Parameters
    ----------
    operands : sequence of (View, View)
        As in `plan_rotary`.
    cos, sin : View
        Of one dtype, shape (..., d/2), broadcastable to the tokens; last stride 1.
    place : Placement
        Where the pairs lie, and which way they turn.
    scales : sequence of float or View
        As in `plan_rotary`.
    tuning : Tuning, optional
        By default chosen from the shapes.

    Returns
    -------
    Plan
        What to launch.
    """
    pairs = cos.shape[-1]
    tokens = token_axes(operands[0][0].shape, place.tensor_format)
    rows = [broadcast_strides(table, (*tokens, pairs))[:-1] for table in (cos, sin)]
    work = _work(operands, pairs, place, rows, scales)
    tables = [
        parameters.Table(table.pointer, *row)
        for table, row in zip((cos, sin), work.others, strict=True)
    ]
    structure = parameters.RotaryCached(work.tensors, *tables, -1.0 if place.inverse else 1.0)
    macros: Macros = {"TABLE_FORMAT": FORMATS[cos.dtype]}
    others = [parameters.RotaryCached.cos.offset, parameters.RotaryCached.sin.offset]
    chosen = tuning or choose_tuning(work, guesses=False)
    return _plan("rotary_cached", macros, structure, work, others, scales, chosen)


def _work(
    operands: Sequence[Operand],
    pairs: int,
    place: Placement,
    rows: Sequence[Axes],
    scales: Sequence[Scale],
) -> Work:
    ends, first = place.ends(), place.rotary_offset
    return arrange(operands, pairs, ends, place.tensor_format, rows, first, scales)


def _plan(
    kernel: str,
    macros: Macros,
    structure: Any,
    work: Work,
    others: Sequence[int],
    scales: Sequence[Scale],
    chosen: Tuning,
) -> Plan:
    """Put a plan together; `others` says where the addresses of positions or tables are."""
    specialisation = specialise(
        kernel, {**work.macros, **macros, "ACROSS": work.across, **chosen.macros}, structure
    )
    blocks = grid_of(structure.tensors.grid, chosen.tokens) if any(work.heads) else 0
    both = (parameters.Tensors.q, parameters.Tensors.k)[: len(work.heads)]
    scaled = [of.offset for of, scale in zip(both, scales, strict=False) if isinstance(scale, View)]
    others = [*(at + parameters.Operand.scale.offset for at in scaled), *others]
    pointers: list[tuple[int, str, int]] = [(at, "other", i) for i, at in enumerate(others)]
    for i, operand in enumerate(both):
        pointers.append((operand.offset + parameters.Operand.x.offset, "input", i))
        pointers.append((operand.offset + parameters.Operand.out.offset, "output", i))
    return Plan(
        specialisation,
        (blocks, chosen.head_blocks, 1),
        (work.across, chosen.lanes, chosen.tokens),
        structure,
        tuple(pointers),
    )

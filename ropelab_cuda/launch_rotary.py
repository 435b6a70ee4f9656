"""Plans for the rotation of queries and keys, in one launch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ropelab import Spectrum

from . import parameters
from .launch import FORMATS, Macros, Plan, grid_of, specialise
from .tokens import broadcast_strides
from .tuning import Tuning, choose_tuning
from .views import View
from .work import Operand, Work, arrange, token_axes

__all__ = ["plan_rotary", "plan_rotary_cached"]


def plan_rotary(
    operands: Sequence[Operand],
    position_ids: View,
    spectrum: Spectrum,
    *,
    layout: str,
    tensor_format: str,
    angles: str,
    inverse: bool,
    tuning: Tuning | None = None,
) -> Plan:
    """Plan the rotation of one or two tensors by their positions, in one launch.

    Parameters
    ----------
    operands : sequence of (View, View)
        Each tensor and where its rotation goes: itself, or a tensor of the same shape.
    position_ids : View
        Integers, broadcastable to the tokens; a leading axis if the spectrum names several.
    spectrum : Spectrum
        The frequencies.
    layout, tensor_format, angles : str
        As in `ropelab.apply_rotary`.
    inverse : bool
        As in `ropelab.apply_rotary`.
    tuning : Tuning, optional
        By default chosen from the shapes.

    Returns
    -------
    Plan
        What to launch.
    """
    numbers = parameters.Numbers.of(spectrum, angles, operands[0][0].dtype)
    tokens = token_axes(operands[0][0].shape, tensor_format)
    strides = broadcast_strides(position_ids, tokens, skip=int(numbers.axes > 1))
    work = arrange(operands, numbers.pairs, layout, tensor_format, [strides])
    structure = parameters.rotary(numbers)()
    structure.tensors = work.tensors
    structure.positions = parameters.positions(position_ids, work.others[0], numbers.axes)
    parameters.fill_spectrum(structure, spectrum, numbers, inverse=inverse)
    return _plan("rotary", numbers.macros, structure, work, tuning)


def plan_rotary_cached(
    operands: Sequence[Operand],
    cos: View,
    sin: View,
    *,
    layout: str,
    tensor_format: str,
    inverse: bool,
    tuning: Tuning | None = None,
) -> Plan:
    """Plan the rotation of one or two tensors by given cosines and sines, in one launch.

    Parameters
    ----------
    operands : sequence of (View, View)
        As in `plan_rotary`.
    cos, sin : View
        Of one dtype, shape (..., d/2), broadcastable to the tokens; last stride 1.
    layout, tensor_format : str
        As in `ropelab.apply_rotary_cached`.
    inverse : bool
        As in `ropelab.apply_rotary_cached`.
    tuning : Tuning, optional
        By default chosen from the shapes.

    Returns
    -------
    Plan
        What to launch.
    """
    pairs = cos.shape[-1]
    tokens = token_axes(operands[0][0].shape, tensor_format)
    rows = [broadcast_strides(table, (*tokens, pairs))[:-1] for table in (cos, sin)]
    work = arrange(operands, pairs, layout, tensor_format, rows)
    tables = [
        parameters.Table(table.pointer, *row)
        for table, row in zip((cos, sin), work.others, strict=True)
    ]
    structure = parameters.RotaryCached(work.tensors, *tables, -1.0 if inverse else 1.0)
    macros: Macros = {"TABLE_FORMAT": FORMATS[cos.dtype]}
    return _plan("rotary_cached", macros, structure, work, tuning)


def _plan(
    kernel: str,
    macros: Macros,
    structure: Any,
    work: Work,
    tuning: Tuning | None,
) -> Plan:
    chosen = tuning or choose_tuning(work)
    specialisation = specialise(
        kernel, {**work.macros, **macros, "ACROSS": work.across, **chosen.macros}, structure
    )
    grid = grid_of(structure.tensors.grid, chosen.tokens) if any(work.heads) else (0, 0, 0)
    return Plan(specialisation, grid, (work.across, chosen.lanes, chosen.tokens), structure)

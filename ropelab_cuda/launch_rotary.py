"""Plans for the rotation of queries and keys, in one launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ropelab.pairs import Placement

from . import parameters
from .decay import Decay
from .device_spectrum import AnySpectrum
from .launch import FORMATS, Macros, Plan, grid_of, specialise
from .launch_angles import Angles, Places, places_of
from .position_sources import PositionSource
from .tokens import Axes, broadcast_strides
from .tuning import HEADS_BEHIND_ANGLES, Tuning, choose_tuning
from .views import View
from .work import HEADS_IN_FLIGHT, Operand, Scale, Work, arrange, scaled_at, token_axes

__all__ = [
    "Lookup",
    "plan_rotary",
    "plan_rotary_cached",
    "plan_rotary_indexed",
    "plan_work",
]


def plan_rotary(
    operands: Sequence[Operand],
    position_ids: View | PositionSource,
    spectrum: AnySpectrum,
    *,
    place: Placement,
    angles: str,
    scales: Sequence[Scale] = (),
    decay: Decay | None = None,
    tuning: Tuning | None = None,
) -> Plan:
    """Plan the rotation of one or two tensors by their positions, in one launch.

    Parameters
    ----------
    operands : sequence of (View, View)
        Each tensor and where its rotation goes: itself, or a tensor of the same shape, of any
        format.
    position_ids : View or PositionSource
        A view is of integers that broadcast to the tokens, by a leading axis if the spectrum names
        several.
    spectrum : Spectrum or DeviceSpectrum
        The frequencies.
    place : Placement
        Where the pairs lie, and which way they turn.
    angles : str
        As in `ropelab.apply_rotary`.
    scales : sequence of float or View
        What is stored is divided by, for each tensor; by default it is not.
    decay : Decay, optional
        By which queries are scaled too, and keys over which, for one position axis.
    tuning : Tuning, optional
        By default chosen from the shapes.

    Returns
    -------
    Plan
        What to launch.
    """
    dtypes = [view.dtype for view in operands[0]]
    if decay is not None:  # cosines in double, to be scaled before they are rounded
        dtypes.append("float64")
    computed = Angles.of(position_ids, spectrum, angles, *dtypes)
    tokens = token_axes(operands[0][0].shape, place.tensor_format)
    work = _work(operands, computed.numbers.pairs, place, computed.rows(tokens), scales)
    name, kind = "rotary", parameters.rotary
    if decay is not None:
        name, kind = "rotary_xpos", parameters.rotary_xpos
        # Of queries and of keys, and what is left of their exponents.
        work = replace(work, angle_bytes=2 * work.angle_bytes + 4 * computed.numbers.pairs)
    structure = computed.structure(kind, work.others, inverse=place.inverse)
    structure.tensors = work.tensors
    if decay is not None:
        decay.fill(structure.decay)
    places = computed.places(structure)
    in_flight = HEADS_IN_FLIGHT if decay is None else HEADS_BEHIND_ANGLES
    chosen = tuning or choose_tuning(work, guesses=computed.can_be_guessed, in_flight=in_flight)
    return plan_work(name, computed.macros, structure, work, places, scales, chosen)


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
        Of one dtype and one last stride, shape (..., d/2), broadcastable to the tokens.
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
    structure = parameters.RotaryCached(work.tensors, *tables, _direction(place))
    macros = _table_macros(cos) | {"INDEXED": 0}
    chosen = tuning or choose_tuning(work, guesses=False, in_flight=HEADS_BEHIND_ANGLES)
    return plan_work("rotary_cached", macros, structure, work, Places(_TABLES), scales, chosen)


class Lookup(NamedTuple):
    """Which row of a table serves which token.

    Parameters
    ----------
    positions : PositionSource
        The number of the row.
    overrun_flag : View, optional
        An int32, to be set where a position has no row.
    """

    positions: PositionSource
    overrun_flag: View | None = None


def plan_rotary_indexed(
    operands: Sequence[Operand],
    cos: View,
    sin: View,
    lookup: Lookup,
    *,
    place: Placement,
    scales: Sequence[Scale] = (),
    tuning: Tuning | None = None,
) -> Plan:
    """Plan the rotation of one or two tensors by rows of tables, in one launch.

    Parameters
    ----------
    operands : sequence of (View, View)
        As in `plan_rotary`.
    cos, sin : View
        Of one dtype, shape and last stride: (rows, d/2), with at least one row.
    lookup : Lookup
        Which row serves which token.
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
    rows, pairs = cos.shape
    source, flag = lookup
    tokens = token_axes(operands[0][0].shape, place.tensor_format)
    work = _work(operands, pairs, place, source.rows(tokens, 1), scales)
    tables = [parameters.Table(table.pointer, 0, table.strides[0]) for table in (cos, sin)]
    positions = source.structure(work.others, 1)
    kind: Any = type(positions)
    pointer = 0 if flag is None else flag.pointer
    structure = parameters.rotary_indexed(kind)(
        work.tensors, *tables, _direction(place), positions, rows, pointer
    )
    macros = _table_macros(cos) | source.macros | {"INDEXED": 1}
    found = places_of(structure, source)
    places = found._replace(others=(*_TABLES, *found.others))
    chosen = tuning or choose_tuning(work, guesses=False, in_flight=HEADS_BEHIND_ANGLES)
    return plan_work("rotary_cached", macros, structure, work, places, scales, chosen)


_TABLES = (parameters.RotaryCached.cos.offset, parameters.RotaryCached.sin.offset)


def _table_macros(table: View) -> Macros:
    step = table.strides[-1] if table.shape[-1] > 1 else 1
    return {"TABLE_FORMAT": FORMATS[table.dtype], "TABLE_STEP": step}


def _direction(place: Placement) -> float:
    return -1.0 if place.inverse else 1.0


def _work(
    operands: Sequence[Operand],
    pairs: int,
    place: Placement,
    rows: Sequence[Axes],
    scales: Sequence[Scale],
) -> Work:
    ends, first = place.ends(), place.rotary_offset
    return arrange(operands, pairs, ends, place.tensor_format, rows, first, scales)


def plan_work(
    kernel: str,
    macros: Macros,
    structure: Any,
    work: Work,
    places: Places,
    scales: Sequence[Scale],
    chosen: Tuning,
) -> Plan:
    """Plan a kernel that rotates.

    Parameters
    ----------
    kernel : str
        Its name.
    macros : dict
        What it needs beside those of the work, or instead of them.
    structure : ctypes.Structure
        Its parameters, which hold the work's tensors.
    work : Work
        What it has to do.
    places : Places
        Where the structure holds the addresses of positions or tables.
    scales : sequence of float or View
        Of each tensor, if any.
    chosen : Tuning
        How threads share it.

    Returns
    -------
    Plan
        What to launch.
    """
    specialisation = specialise(
        kernel, {**work.macros, **macros, "ACROSS": work.across, **chosen.macros}, structure
    )
    blocks = grid_of(structure.tensors.grid, chosen.tokens) if any(work.heads) else 0
    both = (parameters.Tensors.q, parameters.Tensors.k)[: len(work.heads)]
    others = enumerate((*scaled_at(scales), *places.others))
    pointers: list[tuple[int, str, int]] = [(at, "other", i) for i, at in others]
    for i, operand in enumerate(both):
        pointers.append((operand.offset + parameters.Operand.x.offset, "input", i))
        pointers.append((operand.offset + parameters.Operand.out.offset, "output", i))
    return Plan(
        specialisation,
        (blocks, chosen.head_blocks, 1),
        (work.across, chosen.lanes, chosen.tokens),
        structure,
        tuple(pointers),
        places.numbers,
    )

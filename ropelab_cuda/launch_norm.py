"""From views, a norm and a rotation to one launch of both. All views have passed their checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement

from . import parameters
from .device_spectrum import AnySpectrum
from .launch import FORMATS, MAX_HEAD_BLOCKS, MAX_THREADS, Macros, Plan, grid_of, specialise
from .launch_angles import Angles
from .position_sources import PositionSource
from .tuning import SHARED_BYTES, WARP, Tuning, choose_tuning
from .views import View
from .work import HEADS_IN_FLIGHT, Operand, Scale, Work, arrange, scaled_at, token_axes

__all__ = ["plan_norm_rotary"]

# Threads of a token, and bytes of each tensor that a thread has in flight, where tokens are many: a
# norm has more phases than a rotation, and many small blocks hide them from each other.
THREADS, THREADS_ACROSS_HEADS = WARP, 2 * WARP
IN_FLIGHT = 64


def plan_norm_rotary(
    operands: Sequence[Operand],
    weights: Sequence[View | None],
    position_ids: View | PositionSource,
    spectrum: AnySpectrum,
    *,
    norm: Norm,
    place: Placement,
    angles: str,
    scales: Sequence[Scale] = (),
    tuning: Tuning | None = None,
) -> Plan:
    """Plan the norm and the rotation of queries and keys, in one launch.

    Parameters
    ----------
    operands : sequence of (View, View)
        Queries and keys, and where each goes: itself, or a tensor of the same shape, of any format.
    weights : sequence of View or None
        Of both, of one dtype, shape (head_dim,), or of all heads; last stride 1.
    position_ids : View or PositionSource
        As in `plan_rotary`.
    spectrum : Spectrum or DeviceSpectrum
        The frequencies.
    norm : Norm
        How to norm.
    place : Placement
        Where the pairs lie.
    angles : str
        As in `ropelab.apply_rotary`.
    scales : sequence of float or View
        As in `plan_rotary`.
    tuning : Tuning, optional
        By default chosen from the shapes.

    Returns
    -------
    Plan
        What to launch.

    Raises
    ------
    ValueError
        If the angles of a token and the sums of its heads do not fit into a block.
    """
    first = operands[0][0]
    computed = Angles.of(position_ids, spectrum, angles, *(view.dtype for view in operands[0]))
    head_dim = first.shape[-1]
    rows = [None if weight is None else _by_head(weight, head_dim) for weight in weights]
    work = arrange(
        operands,
        computed.numbers.pairs,
        place.ends(),
        place.tensor_format,
        computed.rows(token_axes(first.shape, place.tensor_format)),
        place.rotary_offset,
        scales,
        weights=[row for row in rows if row is not None],
    )
    work = _within_warps(work)
    number_bytes = max(4, *(view.item_bytes for view in operands[0]))
    chosen = tuning or _tuning(work, norm, number_bytes, guesses=computed.can_be_guessed)
    structure = computed.structure(parameters.norm_rotary, work.others, inverse=place.inverse)
    structure.tensors = work.tensors
    structure.q, structure.k = (
        _norm(row, heads if norm.across_heads else 1, head_dim, place.rotary_offset)
        for row, heads in zip(rows, work.heads, strict=True)
    )
    structure.eps, structure.weight_offset = norm.eps, norm.weight_offset
    given = next((weight.dtype for weight in weights if weight is not None), first.dtype)
    macros: Macros = {
        **work.macros,
        **computed.macros,
        "WEIGHT_FORMAT": FORMATS[given],
        "ACROSS_HEADS": int(norm.across_heads),
        "HEADS": sum(work.heads) if norm.across_heads else 0,
        "ACROSS": work.across,
        **chosen.macros,
        **_in_flight(work, chosen),
    }
    blocks = grid_of(structure.tensors.grid, chosen.tokens) if any(work.heads) else 0
    places = computed.places(structure)
    return Plan(
        specialise("norm_rotary", macros, structure),
        (blocks, chosen.head_blocks, 1),
        (work.across, chosen.lanes, chosen.tokens),
        structure,
        tuple(_pointers(type(structure), scales, rows, places.others)),
        places.numbers,
    )


def _in_flight(work: Work, chosen: Tuning) -> Macros:
    """Return how many heads of each tensor a thread has in flight, no more than it has at all."""
    stride = chosen.lanes * chosen.head_blocks
    q, k = (max(1, min(chosen.unroll, -(-heads // stride))) for heads in work.heads)
    return {"Q_UNROLL": q, "K_UNROLL": k}


def _pointers(
    structure: Any, scales: Sequence[Scale], rows: Sequence[View | None], angles: Sequence[int]
) -> Iterator[tuple[int, str, int]]:
    """Yield where the parameters hold addresses: scales and weights, if any, before angles."""
    tensors = (parameters.Tensors.q, parameters.Tensors.k)
    for i, operand in enumerate(tensors):
        yield operand.offset + parameters.Operand.x.offset, "input", i
        yield operand.offset + parameters.Operand.out.offset, "output", i
    norms = [at.offset + parameters.Norm.weights.offset for at in (structure.q, structure.k)]
    weights = [at for at, row in zip(norms, rows, strict=True) if row is not None]
    yield from ((at, "other", i) for i, at in enumerate((*scaled_at(scales), *weights, *angles)))


def _by_head(weight: View, head_dim: int) -> View:
    """Return weights as (heads, head_dim), one head if they serve all; 0 steps to no other."""
    heads = weight.size // head_dim
    if heads <= 1:
        return replace(weight, shape=(heads, head_dim), strides=(0, 1))
    step = weight.strides[0] if len(weight.shape) == 2 else head_dim
    return replace(weight, shape=(heads, head_dim), strides=(step, 1))


def _norm(row: View | None, heads: int, head_dim: int, rotary_offset: int) -> parameters.Norm:
    """Return the norm of one tensor; its weights from the first rotated channel on."""
    share = 1.0 / (max(heads, 1) * head_dim)
    if row is None or row.size == 0:  # no heads, no weights
        return parameters.Norm(0, 0, share)
    return parameters.Norm(row.pointer + rotary_offset * row.item_bytes, row.strides[0], share)


def _within_warps(work: Work) -> Work:
    """Return the work with a power of two of threads along a head, at most a warp."""
    across = min(WARP, 1 << (work.units - 1).bit_length())
    return replace(work, across=across, held_bytes=-(-work.units // across) * work.held_bytes)


def _tuning(work: Work, norm: Norm, number_bytes: int, *, guesses: bool) -> Tuning:
    """Return how to share the work: threads of a token fill their warps."""
    whole, heads = WARP // work.across, max(1, sum(work.heads))
    chosen = choose_tuning(work, guesses=guesses)
    sums = heads * number_bytes if norm.across_heads else 0
    if work.angle_bytes + sums > SHARED_BYTES:
        msg = (
            f"q: expected heads whose sums fit into {SHARED_BYTES} bytes of shared memory beside "
            f"the angles; got {heads} heads, {work.angle_bytes + sums} bytes; norm fewer together"
        )
        raise ValueError(msg)
    if chosen.few_tokens and norm.across_heads:
        lanes = _rounded_up(min(heads, MAX_THREADS // work.across), whole)
        return Tuning(lanes, 1, -(-heads // lanes), 1, guesses, few_tokens=True)
    if chosen.few_tokens:
        lanes = _rounded_up(chosen.lanes, whole)
        blocks = min(-(-heads // lanes), MAX_HEAD_BLOCKS) if chosen.head_blocks > 1 else 1
        return Tuning(lanes, 1, 1, blocks, guesses, few_tokens=True)
    threads = THREADS_ACROSS_HEADS if norm.across_heads else THREADS
    lanes = _rounded_up(min(heads, threads // work.across), whole)
    unroll = max(1, min(HEADS_IN_FLIGHT, IN_FLIGHT // work.held_bytes))
    return Tuning(lanes, 1, unroll, 1, guesses)


def _rounded_up(number: int, step: int) -> int:
    return -(-number // step) * step

"""The plan of a rotation that writes keys and values into caches, in one launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ropelab.checks import TENSOR_FORMATS
from ropelab.pairs import Placement

from . import parameters
from .device_spectrum import AnySpectrum
from .launch import OUTPUT_FORMATS, Macros, Plan
from .launch_angles import Angles
from .launch_rotary import plan_work
from .position_sources import PositionSource
from .tokens import Axes, broadcast_strides, merge_axes
from .tuning import Tuning, choose_tuning
from .views import View
from .work import Operand, Scale, arrange, scale_fields, token_axes, widest_access

__all__ = ["Cached", "plan_rotary_kv_cache"]

_MOST_HELD = 2  # vectors of values: more would take registers from threads with reads in flight


class Cached(NamedTuple):
    """Keys or values, and the cache that they go to.

    Parameters
    ----------
    x : View
        The tensor.
    cache : View
        Of shape (blocks, block_size, heads, head_dim).
    scale : float or View, optional
        What is stored is divided by; by default it is not.
    """

    x: View
    cache: View
    scale: Scale | None = None

    @property
    def steps(self) -> Axes:
        """Strides from block to block and from row to row; 0 where there is but one."""
        axes = zip(self.cache.shape[:2], self.cache.strides[:2], strict=True)
        return tuple(stride if length > 1 else 0 for length, stride in axes)

    @property
    def slot_step(self) -> int | None:
        """The stride from slot to slot, if one leads from each to the next."""
        lengths, (steps,) = merge_axes(self.cache.shape[:2], [self.cache.strides[:2]])
        return (*steps, 0)[0] if len(lengths) < 2 else None

    def first_row(self, tensor_format: str) -> View:
        """Return the cache as if every token's row were its first one."""
        axes = TENSOR_FORMATS[tensor_format]
        strides = [0] * axes.ndim
        strides[axes.head_axis], strides[-1] = self.cache.strides[2:]
        return replace(self.cache, shape=self.x.shape, strides=tuple(strides))


def plan_rotary_kv_cache(
    queries: Operand,
    keys: Cached,
    values: Cached,
    position_ids: View | PositionSource,
    slots: View,
    spectrum: AnySpectrum,
    *,
    place: Placement,
    angles: str,
    overrun: View | None = None,
    tuning: Tuning | None = None,
) -> Plan:
    """Plan the rotation of queries and keys of which the keys, and values, go into caches.

    Parameters
    ----------
    queries : (View, View)
        The tensor and where its rotation goes: itself, or a tensor of the same shape and dtype.
    keys, values : Cached
        Over the same tokens, with as many heads as each other.
    position_ids : View or PositionSource
        As in `plan_rotary`.
    slots : View
        Integers that broadcast to the tokens.
    spectrum : Spectrum or DeviceSpectrum
        The frequencies.
    place : Placement
        Where the pairs lie.
    angles : str
        As in `ropelab.apply_rotary`.
    overrun : View, optional
        An int32 that is set to 1 if a slot lies past the caches.
    tuning : Tuning, optional
        By default chosen from the shapes.

    Returns
    -------
    Plan
        What to launch. Its "input" is q, its "output" the rotated q; the others are k_cache,
        v_cache, the flag if any, k, v, the scales that are tensors, slots and what angles come of.
    """
    computed = Angles.of(position_ids, spectrum, angles, queries[0].dtype, keys.cache.dtype)
    tokens = token_axes(queries[0].shape, place.tensor_format)
    work = arrange(
        [queries, (keys.x, keys.first_row(place.tensor_format))],
        computed.numbers.pairs,
        place.ends(),
        place.tensor_format,
        [
            *computed.rows(tokens),
            broadcast_strides(slots, tokens),
            token_axes(values.x.strides, place.tensor_format),
        ],
        place.rotary_offset,
        steps=[(), keys.steps],
    )
    *walked_positions, walked_slots, walked_values = work.others
    structure = computed.structure(parameters.rotary_kv_cache, walked_positions, inverse=False)
    structure.tensors = work.tensors
    structure.tensors.k.inverse_scale, structure.tensors.k.scale = _scale(keys)
    _fill_slots(structure, slots, walked_slots, keys, values, overrun)
    v = structure.v = _values(values, walked_values, place.tensor_format)
    chosen = tuning or choose_tuning(work, guesses=computed.can_be_guessed)
    macros: Macros = {
        **computed.macros,
        "KEYS_APART": int(keys.cache.dtype != keys.x.dtype or keys.scale is not None),
        "KEY_FORMAT": OUTPUT_FORMATS[keys.cache.dtype],
        "KEY_SCALED": int(keys.scale is not None),
        "SLOT": parameters.INTEGER_TYPES[slots.dtype],
        **_value_macros(values, v, work.across * chosen.lanes * chosen.head_blocks),
    }
    places = computed.places(structure)
    plan = plan_work("rotary_kv_cache", macros, structure, work, places, (), chosen)
    return replace(plan, pointers=_pointers(structure, keys, values, overrun, places.others))


def _scale(cached: Cached) -> tuple[float, int]:
    """Return the inverse of a scale, and its address: one of both."""
    return scale_fields(1.0 if cached.scale is None else cached.scale)


def _values(values: Cached, walked: Axes, tensor_format: str) -> parameters.Operand:
    """Describe values whose strides along the tokens are (outer, inner)."""
    x, cache = values.x, values.cache
    head_axis = TENSOR_FORMATS[tensor_format].head_axis
    heads = x.shape[head_axis] if x.shape[-1] else 0
    steps = (x.strides[head_axis], cache.strides[2]) if heads > 1 else (0, 0)
    return parameters.Operand(
        x.pointer, cache.pointer, *walked, steps[0], 0, 0, steps[1], heads, *_scale(values)
    )


def _value_macros(values: Cached, v: parameters.Operand, threads: int) -> Macros:
    """Return how wide values are accessed, and how many vectors a thread holds at first."""
    width = values.x.shape[-1]
    vector = widest_access(
        [
            (values.x, (v.x_outer, v.x_inner, v.x_head, width)),
            (values.cache, (*values.steps, v.out_head, width)),
        ]
    )
    each = -(-v.heads * (width // vector) // threads)
    return {
        "VALUE_FORMAT": OUTPUT_FORMATS[values.cache.dtype],
        "VALUES_SCALED": int(values.scale is not None),
        "VALUE_DIM": width or vector,
        "VALUE_VECTOR": vector,
        "VALUES_HELD": max(1, min(each, _MOST_HELD)),
    }


def _fill_slots(
    structure: Any,
    slots: View,
    walked: Axes,
    keys: Cached,
    values: Cached,
    overrun: View | None,
) -> None:
    """Say where slots are and where they lead; without a division if the blocks adjoin."""
    blocks, size = keys.cache.shape[:2]
    flat = [cached.slot_step for cached in (keys, values)]
    adjoin = None not in flat
    structure.slots = parameters.Slots(
        slots.pointer,
        *walked,
        blocks * size,
        1 if adjoin else size,
        0 if overrun is None else overrun.pointer,
    )
    for name, cached, step in zip(("k_cache", "v_cache"), (keys, values), flat, strict=True):
        steps = (step, 0) if adjoin else cached.steps
        setattr(structure, name, parameters.CacheStrides(*steps))


def _pointers(
    structure: Any,
    keys: Cached,
    values: Cached,
    overrun: View | None,
    angles: Sequence[int],
) -> tuple[tuple[int, str, int], ...]:
    """Return where the addresses of all tensors are."""
    fields, one = type(structure), parameters.Operand
    q, k, v = parameters.Tensors.q.offset, parameters.Tensors.k.offset, fields.v.offset
    slots = fields.slots.offset
    scaled = [at for at, of in ((k, keys), (v, values)) if isinstance(of.scale, View)]
    others = [
        *(at + one.out.offset for at in (k, v)),
        *([] if overrun is None else [slots + parameters.Slots.overrun.offset]),
        *(at + one.x.offset for at in (k, v)),
        *(at + one.scale.offset for at in scaled),
        slots + parameters.Slots.data.offset,
        *angles,
    ]
    queries = ((q + one.x.offset, "input", 0), (q + one.out.offset, "output", 0))
    return (*queries, *((at, "other", i) for i, at in enumerate(others)))

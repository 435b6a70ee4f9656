"""The plan of a rotation that writes keys and values into caches, in one launch."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ropelab import Spectrum
from ropelab.checks import TENSOR_FORMATS
from ropelab.pairs import Placement

from . import parameters
from .launch import OUTPUT_FORMATS, Macros, Plan
from .launch_rotary import plan_work
from .tokens import Axes, broadcast_strides
from .tuning import Tuning, choose_tuning
from .views import View
from .work import Operand, Scale, Work, arrange, scale_fields, token_axes, widest_access

__all__ = ["Cached", "plan_rotary_kv_cache"]

# C's names of the dtypes of slots.
_INTEGERS = {
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned",
}


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
        """Strides from block to block and from row to row."""
        return tuple(
            stride if length > 1 else 0
            for stride, length in zip(self.cache.strides[:2], self.cache.shape[:2], strict=True)
        )

    def first_row(self, tensor_format: str) -> View:
        """Return the cache's first row as if every token went there."""
        axes = TENSOR_FORMATS[tensor_format]
        strides = [0] * axes.ndim
        strides[axes.head_axis], strides[-1] = self.cache.strides[2:]
        return replace(self.cache, shape=self.x.shape, strides=tuple(strides))

    @property
    def scale_fields(self) -> tuple[float, int]:
        """The inverse of the scale, and its address: one of both."""
        return scale_fields(1.0 if self.scale is None else self.scale)


def plan_rotary_kv_cache(
    queries: Operand,
    keys: Cached,
    values: Cached,
    position_ids: View,
    slots: View,
    spectrum: Spectrum,
    *,
    place: Placement,
    angles: str,
    overrun: View | None = None,
    tuning: Tuning | None = None,
) -> Plan:
    """Plan the rotation of queries and keys of which keys, and values, go into caches.

    Parameters
    ----------
    queries : (View, View)
        The tensor and where its rotation goes: itself, or a tensor of the same shape and dtype.
    keys, values : Cached
        Over the same tokens, with as many heads as each other.
    position_ids, slots : View
        Integers, broadcastable to the tokens; positions with a leading axis if the spectrum names
        several.
    spectrum : Spectrum
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
        What to launch.
    """
    q, k, v = queries[0], keys.x, values.x
    numbers = parameters.Numbers.of(spectrum, angles, q.dtype, keys.cache.dtype)
    tokens = token_axes(q.shape, place.tensor_format)
    positions = broadcast_strides(position_ids, tokens, skip=int(numbers.axes > 1))
    work = arrange(
        [queries, (k, keys.first_row(place.tensor_format))],
        numbers.pairs,
        place.ends(),
        place.tensor_format,
        [
            positions,
            broadcast_strides(slots, tokens),
            token_axes(v.strides, place.tensor_format),
        ],
        place.rotary_offset,
        steps=[(), keys.steps],
    )
    walked_positions, walked_slots, walked_values = work.others
    structure = parameters.rotary_kv_cache(numbers)()
    structure.tensors = work.tensors
    structure.tensors.k.inverse_scale, structure.tensors.k.scale = keys.scale_fields
    structure.v = _values(values, walked_values, place.tensor_format)
    structure.positions = parameters.positions(position_ids, walked_positions, numbers.axes)
    structure.slots = _slots(slots, walked_slots, keys, values, overrun)
    for name, cached in (("k_cache", keys), ("v_cache", values)):
        block, row = cached.steps
        adjoin = structure.slots.block_size == 1
        stride = row if cached.cache.shape[1] > 1 else block
        steps = (stride, 0) if adjoin else (block, row)
        setattr(structure, name, parameters.CacheStrides(*steps))
    parameters.fill_spectrum(structure, spectrum, numbers, inverse=False)
    ...

"""One call that norms and rotates, from arguments to launch; see `calls`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropelab.checks import TENSOR_FORMATS, check_norm_weight
from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement, Storage

from .calls import (
    AS_IT_CAME,
    check_same_dtype,
    launch_and_remember,
    outputs_of,
    passed_scales,
    replay_parts,
    scale_tensors,
    take_tensors,
)
from .device_spectrum import AnySpectrum
from .given_angles import GivenAngles
from .launch_norm import plan_norm_rotary
from .recordings import Key
from .views import View

__all__ = ["norm_and_rotate"]


def norm_and_rotate(
    tensors: Mapping[str, Any],
    outs: Mapping[str, Any] | None,
    weights: Mapping[str, Any],
    position_ids: Any,
    spectrum: AnySpectrum,
    angles: str,
    norm: Norm,
    place: Placement,
    call: Key,
    storage: Storage = AS_IT_CAME,
) -> tuple[Any, ...]:
    """Norm and rotate queries and keys, in one launch.

    Parameters
    ----------
    tensors : mapping of str to tensor
        As in `rotate_by_positions`; both.
    outs : mapping of str to tensor, optional
        As in `rotate_by_positions`.
    weights : mapping of str to tensor or None
        Of both, by the names of the arguments.
    position_ids : tensor, Consecutive or Packed
        As in `ropelab.apply_rotary`.
    spectrum : Spectrum or DeviceSpectrum
        As in `ropelab.apply_rotary`.
    angles : str
        As in `ropelab.apply_rotary`.
    norm : Norm
        How to norm.
    place : Placement
        Where the pairs lie.
    call : tuple
        As in `rotate_by_positions`.
    storage : Storage
        In which format, and over which scales, the results are stored.

    Returns
    -------
    tuple of tensors
        The normed and rotated tensors.
    """
    given = GivenAngles(position_ids, spectrum, angles)
    parts, call = given.in_parts(call)
    if not given.are_whole:  # others have been tried
        present = [weight for weight in weights.values() if weight is not None]
        scaling = scale_tensors(storage, tensors)
        made = replay_parts(tensors, outs, [*scaling, *present], parts, call)
        if made is not None:
            return made
    norm = norm.checked()
    gate, views, scales = take_tensors(tensors, place, storage)
    name, first = next(iter(views.items()))
    positions, place = given.take(gate, first, name, place)
    head_dim, head_axis = first.shape[-1], TENSOR_FORMATS[place.tensor_format].head_axis
    taken: dict[str, View] = {}
    for (name, weight), view in zip(weights.items(), views.values(), strict=True):
        if weight is not None:
            taken[name] = found = gate.floats(weight, name, foreign=True)
            heads = view.shape[head_axis]
            check_norm_weight(found.shape, heads, head_dim, name, across_heads=norm.across_heads)
    if len(taken) == 2:
        check_same_dtype(taken)
    read = [*positions.views.items(), *taken.items(), *scales]
    results, operands = outputs_of(gate, tensors, views, outs, read, storage)
    plan = plan_norm_rotary(
        operands,
        [taken.get(name) for name in weights],
        positions,
        spectrum,
        norm=norm,
        place=place,
        angles=angles,
        scales=[scale for _, scale in scales],
    )
    others = passed_scales(storage, scales)
    others += [(weights[name], view) for name, view in taken.items()]
    others += zip(parts.tensors, given.views(positions), strict=True)
    launch_and_remember(gate, plan, call, tensors, outs, results, operands, others, given.keyed)
    return results

"""One call that norms and rotates, from arguments to launch; see `calls`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropelab import Spectrum
from ropelab.checks import (
    ANGLES,
    TENSOR_FORMATS,
    check_choice,
    check_norm_weight,
    check_positions,
    check_rotary_offset,
    check_width,
    token_shape,
)
from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement
from ropelab.spectrum import check_spectrum

from .calls import AS_IT_CAME, check_same_dtype, launch_and_remember, outputs_of, take_tensors
from .launch_norm import plan_norm_rotary
from .replay import Key
from .views import View

__all__ = ["norm_and_rotate"]


def norm_and_rotate(
    tensors: Mapping[str, Any],
    outs: Mapping[str, Any] | None,
    weights: Mapping[str, Any],
    position_ids: Any,
    spectrum: Spectrum,
    angles: str,
    norm: Norm,
    place: Placement,
    call: Key,
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
    position_ids : tensor
        As in `ropelab.apply_rotary`.
    spectrum : Spectrum
        As in `ropelab.apply_rotary`.
    angles : str
        As in `ropelab.apply_rotary`.
    norm : Norm
        How to norm.
    place : Placement
        Where the pairs lie.
    call : tuple
        As in `rotate_by_positions`.

    Returns
    -------
    tuple of tensors
        The normed and rotated tensors.
    """
    check_choice(angles, ANGLES, "angles")
    check_spectrum(spectrum)
    norm = norm.checked()
    gate, views, _ = take_tensors(tensors, place, AS_IT_CAME)
    name, first = next(iter(views.items()))
    head_dim = first.shape[-1]
    check_width(spectrum.rotary_dim, head_dim, name)
    check_rotary_offset(place.rotary_offset, spectrum.rotary_dim, head_dim)
    head_axis = TENSOR_FORMATS[place.tensor_format].head_axis
    taken: dict[str, View] = {}
    for (name, weight), view in zip(weights.items(), views.values(), strict=True):
        if weight is not None:
            taken[name] = found = gate.floats(weight, name, foreign=True)
            heads = view.shape[head_axis]
            check_norm_weight(found.shape, heads, head_dim, name, across_heads=norm.across_heads)
    if len(taken) == 2:
        check_same_dtype(taken)
    positions = gate.integers(position_ids, "position_ids")
    tokens = token_shape(first.shape, place.tensor_format, "q")
    check_positions(positions.shape, tokens, axes=spectrum.position_axes)
    read = [("position_ids", positions), *taken.items()]
    results, operands = outputs_of(gate, tensors, views, outs, read, AS_IT_CAME)
    plan = plan_norm_rotary(
        operands,
        [taken.get(name) for name in weights],
        positions,
        spectrum,
        norm=norm,
        place=place,
        angles=angles,
    )
    others = [(weights[name], view) for name, view in taken.items()]
    others.append((position_ids, positions))
    launch_and_remember(gate, plan, call, tensors, outs, results, operands, others, spectrum)
    return results

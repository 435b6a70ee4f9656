"""Gradients: a rotation's is the rotation back, by the same operator, so that it has its own.

torch.library's registration serves everything but torch.func, whose transforms want an
autograd.Function; that one costs several times as much, so it is taken only for them.
"""

from __future__ import annotations

from typing import Any

import torch

from ropelab.checks import TENSOR_FORMATS
from ropelab.layouts import pair_channels
from ropelab.pairs import Placement

from . import ops

__all__ = ["rotary_cached", "rotary_qk"]

Inputs = tuple[Any, ...]


def rotary_qk(*inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys, under any transform."""
    turn = _RotaryQK.apply if torch._C._are_functorch_transforms_active() else ops.rotary_qk
    q_out, k_out = turn(*inputs)
    return q_out, k_out


def rotary_cached(*inputs: Any) -> torch.Tensor:
    """Rotate by given cosines and sines, under any transform."""
    turn = _RotaryCached.apply if torch._C._are_functorch_transforms_active() else ops.rotary_cached
    made: torch.Tensor = turn(*inputs)
    return made


def _keep_positions(ctx: Any, inputs: Inputs, output: Any) -> None:
    del output
    _, _, position_ids, ctx.spectrum, numbers, ctx.angles, *place = inputs
    ctx.place = Placement(*place)
    ctx.save_for_backward(position_ids, numbers)


def _turn_back(ctx: Any, q_grad: torch.Tensor, k_grad: torch.Tensor) -> Inputs:
    position_ids, numbers = ctx.saved_tensors
    how = position_ids, ctx.spectrum, numbers, ctx.angles, *_reversed(ctx.place)
    return (*rotary_qk(q_grad, k_grad, *how), *[None] * len(how))


def _keep_tables(ctx: Any, inputs: Inputs, output: Any) -> None:
    del output
    *tensors, tensor_format, layout, output_layout, rotary_offset, inverse = inputs
    ctx.place = Placement(tensor_format, layout, output_layout, rotary_offset, inverse)
    ctx.save_for_backward(*tensors)


def _turn_back_cached(ctx: Any, grad: torch.Tensor) -> Inputs:
    x, cos, sin = ctx.saved_tensors
    back = _reversed(ctx.place)
    x_grad = rotary_cached(grad, cos, sin, *back) if ctx.needs_input_grad[0] else None
    table_grads: Inputs = (None, None)
    if any(ctx.needs_input_grad[1:3]):
        table_grads = _table_gradients(x, grad, cos, sin, ctx.place)
    return (x_grad, *table_grads, *[None] * len(back))


def _table_gradients(
    x: torch.Tensor, grad: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, place: Placement
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of the tables, summed over heads and over what they broadcast to."""
    wide = torch.promote_types(torch.promote_types(x.dtype, cos.dtype), torch.float32)
    d, first = 2 * cos.shape[-1], place.rotary_offset
    source, target = (pair_channels(layout, d) for layout in place.ends())
    old, new = (tensor[..., first : first + d].to(wide) for tensor in (x, grad))
    a, b, a_grad, b_grad = *(old[..., i] for i in source), *(new[..., i] for i in target)
    axes = TENSOR_FORMATS[place.tensor_format]
    # Where batch and sequence are once the heads are gone.
    order = [sorted(axes.token_axes).index(axis) for axis in axes.token_axes]
    # From a' = a cos - b sin and b' = b cos + a sin.
    cos_grad, sin_grad = (
        of_each_head.sum(axes.head_axis).permute(*order, -1).sum_to_size(table.shape)
        for of_each_head, table in ((a * a_grad + b * b_grad, cos), (a * b_grad - b * a_grad, sin))
    )
    return cos_grad.to(cos.dtype), (-sin_grad if place.inverse else sin_grad).to(sin.dtype)


def _reversed(place: Placement) -> Placement:
    return place._replace(inverse=not place.inverse)


class _RotaryQK(torch.autograd.Function):
    generate_vmap_rule = True
    setup_context = staticmethod(_keep_positions)
    backward = staticmethod(_turn_back)

    @staticmethod
    def forward(*inputs: Any) -> Any:
        return ops.rotary_qk(*inputs)


class _RotaryCached(torch.autograd.Function):
    generate_vmap_rule = True
    setup_context = staticmethod(_keep_tables)
    backward = staticmethod(_turn_back_cached)

    @staticmethod
    def forward(*inputs: Any) -> Any:
        return ops.rotary_cached(*inputs)


torch.library.register_autograd(
    "ropelab::rotary_qk", _turn_back, setup_context=_keep_positions, lib=ops.LIBRARY
)
torch.library.register_autograd(
    "ropelab::rotary_cached", _turn_back_cached, setup_context=_keep_tables, lib=ops.LIBRARY
)

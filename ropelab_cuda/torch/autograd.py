"""Gradients: a rotation's is the rotation back, by the same operator, so that it has its own.

They are recorded where the dispatcher comes to autograd, level by level of torch.func's transforms,
as those of torch's own operators are. So whatever calls the operator may be transformed, traced and
compiled; what `torch.library.register_autograd` offers stops at transforms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction

from ropelab.checks import TENSOR_FORMATS
from ropelab.layouts import pair_channels
from ropelab.pairs import Placement

from . import ops
from .plain import check_no_grad, check_no_tangent, check_not_of_inference

__all__: list[str] = []

Inputs = tuple[Any, ...]


class _Recorded(_SingleLevelFunction):
    @staticmethod
    def _compiled_autograd_key(ctx: Any) -> tuple[int]:
        """Name the function to compiled autograd, which asks every one that torch calls single."""
        number: int = ctx._autograd_function_id
        return (number,)


class _RotaryQK(_Recorded):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        q, k, position_ids, ctx.spectrum, numbers, ctx.angles, *place = inputs
        ctx.place, ctx.shapes = Placement(*place), (q.shape, k.shape)
        ctx.save_for_backward(position_ids, numbers)
        ctx.set_materialize_grads(False)  # its zeros would be no DTensors
        made = _below(ops.rotary_qk, *inputs)
        needed = zip(made, ctx.needs_input_grad[:2], strict=True)
        ctx.mark_non_differentiable(*(x for x, needs in needed if not needs))  # a frozen key
        return made

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Inputs:
        position_ids, numbers = ctx.saved_tensors
        how = position_ids, ctx.spectrum, numbers, ctx.angles, *_reversed(ctx.place)
        nothing = [None] * len(how)
        used = next((grad for grad in grads if grad is not None), None)
        if used is None:
            return (*grads, *nothing)
        given = zip(grads, ctx.shapes, strict=True)
        whole = [used.new_zeros(shape) if grad is None else grad for grad, shape in given]
        return (*ops.rotary_qk(*whole, *how), *nothing)


class _RotaryCached(_Recorded):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        x, cos, sin, *place = inputs
        ctx.place = Placement(*place)
        ctx.save_for_backward(x, cos, sin)
        return _below(ops.rotary_cached, *inputs)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Inputs:
        x, cos, sin = ctx.saved_tensors
        of_x, *of_tables = ctx.needs_input_grad[:3]
        back = _reversed(ctx.place)
        x_grad = ops.rotary_cached(grad, cos, sin, *back) if of_x else None
        table_grads: Inputs = (None, None)
        if any(of_tables):
            table_grads = _table_gradients(x, grad, cos, sin, ctx.place)
        return (x_grad, *table_grads, *[None] * len(back))


def _recording(operator: Callable[..., Any], function: Any, tensors: int) -> Callable[..., Any]:
    """Return what an operator does at one level of autograd."""

    def kernel(*inputs: Any) -> Any:
        check_no_tangent(*inputs[:tensors])
        if not (torch.is_grad_enabled() and any(x.requires_grad for x in inputs[:tensors])):
            with torch._C._AutoDispatchBelowAutograd():
                return operator(*inputs)
        if not torch._C._are_functorch_transforms_active():
            return function.apply(*inputs)
        with enable_single_level_autograd_function():
            return function.apply(*inputs)

    return kernel


def _below(operator: Callable[..., Any], *inputs: Any) -> Any:
    """Call an operator below this level of autograd."""
    with torch._C._AutoDispatchBelowAutograd():
        if not torch._C._are_functorch_transforms_active():
            return operator(*inputs)
        # There may be more levels, which record too, or refuse to.
        with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
            return operator(*inputs)


def _overwriting(q: torch.Tensor, k: torch.Tensor, *options: Any) -> None:
    check_no_tangent(q, k)
    check_no_grad(q=q, k=k)
    check_not_of_inference(q=q, k=k)
    before = q._version, k._version
    with torch._C._AutoDispatchBelowAutograd():
        ops.rotary_qk_(q, k, *options)
    for x, version in zip((q, k), before, strict=True):
        if x._version == version:  # what was written is a tensor within it, as in a DTensor
            torch.autograd.graph.increment_version(x)


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


ops.LIBRARY.impl("rotary_qk", _recording(ops.rotary_qk, _RotaryQK, 2), "Autograd")
ops.LIBRARY.impl("rotary_cached", _recording(ops.rotary_cached, _RotaryCached, 3), "Autograd")
ops.LIBRARY.impl("rotary_qk_", _overwriting, "Autograd")

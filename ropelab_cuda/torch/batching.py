"""torch.vmap: a batch more is heads more, or tokens more where the positions differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ropelab.checks import TENSOR_FORMATS, check_positions, check_table, token_shape

from . import ops
from .ropes import outline

__all__: list[str] = []

Dims = tuple[Any, ...]


def _rotary_qk(info: Any, in_dims: Dims, *inputs: Any) -> tuple[Any, Dims]:
    q, k, position_ids, spectrum, numbers, angles, *place = inputs
    q_dim, k_dim, ids_dim, _, numbers_dim, *_ = in_dims
    size, tensor_format = info.batch_size, place[0]
    if numbers_dim is not None:  # a spectrum each, whose numbers have to adjoin
        inputs = (*inputs[:4], numbers.movedim(numbers_dim, 0).contiguous(), *inputs[5:])
        in_dims = (*in_dims[:4], 0, *in_dims[5:])
        if size == 0:  # of which the rotation is itself
            _of_shapes(ops.rotary_qk, in_dims, inputs)
            return (_spread(q, q_dim, 0).clone(), _spread(k, k_dim, 0).clone()), (0, 0)
        return _one_by_one(ops.rotary_qk, size, in_dims, inputs)
    axis = TENSOR_FORMATS[tensor_format].head_axis
    if ids_dim is not None:
        tokens = token_shape(_sample(q, q_dim), tensor_format, "q")
        axes = outline(spectrum, numbers).position_axes
        check_positions(_sample(position_ids, ids_dim), tokens, axes=axes)
        position_ids = _more_tokens(position_ids, ids_dim, size, tokens, int(axes > 1))
        axis = TENSOR_FORMATS[tensor_format].token_axes[0]
        q, k = _spread(q, q_dim, size), _spread(k, k_dim, size)
        q_dim = k_dim = 0
    q_in, k_in = _folded(q, q_dim, axis), _folded(k, k_dim, axis)
    made = ops.rotary_qk(q_in, k_in, position_ids, spectrum, numbers, angles, *place)
    q_out, k_out = _unfolded(made[0], q, q_dim, axis), _unfolded(made[1], k, k_dim, axis)
    return (q_out, k_out), (None if q_dim is None else axis, None if k_dim is None else axis)


def _rotary_cached(info: Any, in_dims: Dims, *inputs: Any) -> tuple[Any, Any]:
    x, cos, sin, *place = inputs
    x_dim, *table_dims = in_dims[:3]
    size, tensor_format = info.batch_size, place[0]
    axis = TENSOR_FORMATS[tensor_format].head_axis
    if table_dims != [None, None]:
        tokens = token_shape(_sample(x, x_dim), tensor_format, "x")
        width = _sample(cos, table_dims[0])[-1]
        for table, dim, name in ((cos, table_dims[0], "cos"), (sin, table_dims[1], "sin")):
            check_table(_sample(table, dim), tokens, _sample(x, x_dim)[-1], name)
        cos, sin = (
            _more_tokens(table, dim, size, (*tokens, width), 0)
            for table, dim in zip((cos, sin), table_dims, strict=True)
        )
        axis = TENSOR_FORMATS[tensor_format].token_axes[0]
        x, x_dim = _spread(x, x_dim, size), 0
    made = ops.rotary_cached(_folded(x, x_dim, axis), cos, sin, *place)
    return _unfolded(made, x, x_dim, axis), None if x_dim is None else axis


def _length_numbers(info: Any, in_dims: Dims, *inputs: Any) -> tuple[Any, Any]:
    if info.batch_size == 0:
        one = _of_shapes(ops.length_numbers, in_dims, inputs)
        return inputs[0].new_empty((0, *one.shape), dtype=one.dtype), 0
    return _one_by_one(ops.length_numbers, info.batch_size, in_dims, inputs)


def _one_by_one(
    operator: Callable[..., Any], size: int, in_dims: Dims, inputs: tuple[Any, ...]
) -> tuple[Any, Any]:
    made = [
        operator(
            *(
                x if dim is None else x.select(dim, i)
                for x, dim in zip(inputs, in_dims, strict=True)
            )
        )
        for i in range(size)
    ]
    if isinstance(made[0], torch.Tensor):
        return torch.stack(made), 0
    return tuple(torch.stack(parts) for parts in zip(*made, strict=True)), (0,) * len(made[0])


def _of_shapes(operator: Callable[..., Any], in_dims: Dims, inputs: tuple[Any, ...]) -> Any:
    """Check what each of an empty batch would be, and return its results on the meta device."""
    one = (
        torch.empty(_sample(x, dim), dtype=x.dtype, device="meta")
        if isinstance(x, torch.Tensor)
        else x
        for x, dim in zip(inputs, in_dims, strict=True)
    )
    return operator(*one)


def _sample(x: torch.Tensor, dim: int | None) -> tuple[int, ...]:
    """Return the shape of one of a batch."""
    return tuple(length for axis, length in enumerate(x.shape) if axis != dim)


def _spread(x: torch.Tensor, dim: int | None, size: int) -> torch.Tensor:
    """Return a batch in front, of copies that share their memory if there was none."""
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


def _folded(x: torch.Tensor, dim: int | None, axis: int) -> torch.Tensor:
    return x if dim is None else x.movedim(dim, axis).flatten(axis, axis + 1)


def _unfolded(x: torch.Tensor, given: torch.Tensor, dim: int | None, axis: int) -> torch.Tensor:
    """Undo what `_folded` did to a tensor of which this is the rotated one."""
    if dim is None:
        return x
    lengths = given.shape[dim], _sample(given, dim)[axis]
    return x.view(*x.shape[:axis], *lengths, *x.shape[axis + 1 :])


def _more_tokens(
    x: torch.Tensor, dim: int | None, size: int, shape: tuple[int, ...], skip: int
) -> torch.Tensor:
    """Return what there is for each token, with the batch as more tokens; `skip` axes lead."""
    x = _spread(x, dim, size)
    leading, given = x.shape[1 : 1 + skip], x.shape[1 + skip :]
    ones = (1,) * (len(shape) - len(given))
    whole = x.reshape(size, *leading, *ones, *given).expand(size, *leading, *shape)
    return whole.movedim(0, skip).flatten(skip, skip + 1)


for _rule in (_rotary_qk, _rotary_cached, _length_numbers):
    torch.library.register_vmap(f"ropelab::{_rule.__name__[1:]}", _rule, lib=ops.LIBRARY)

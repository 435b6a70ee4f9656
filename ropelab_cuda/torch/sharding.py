"""How DTensors rotate: importing this module gives torch.distributed a rule for each operator.

A token is rotated without a look at any other, and a head likewise. So shards over batch, heads or
sequence rotate where they lie, by positions or tables that are sharded alike, and nothing is
communicated. Gradients are made of the same operators, and by the same rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.experimental import register_sharding

from ropelab.checks import TENSOR_FORMATS
from ropelab.pairs import Placement

from . import ops, rotary
from .ropes import outline

__all__: list[str] = []

del rotary  # which has completed the operators

# Along one dimension of a mesh: how results lie if inputs lie so; None stands for what is no
# tensor. Partial is never among them. A rotation is linear, but of each part it would round
# anew, by eps of what may cancel in the sum; so the sum comes first, as without shards.
Choice = tuple[list[Any], list[Any]]

_PLACE_OF_QK = 6  # where a Placement begins among the inputs


def _rotary_qk(*inputs: Any) -> list[Choice]:
    whole, *sharded = _together(*inputs)
    (one, _), (_, _, *others) = whole
    _, heads, *_ = _shards(*inputs[_PLACE_OF_QK:])
    # Where keys have fewer heads than there are ranks, every rank has them all.
    each_its_own: list[Choice] = [
        ([x, y], [x, y, *others]) for x, y in ((heads, one), (one, heads))
    ]
    return [whole, *each_its_own, *sharded]


def _rotary_qk_(*inputs: Any) -> list[Choice]:
    q, k, *_ = inputs
    if k.placements != q.placements:  # a copy would be overwritten, and forgotten
        msg = (
            f"k: expected the placements of q, {q.placements}, to be overwritten; got "
            f"{k.placements}; redistribute it, or use apply_rotary"
        )
        raise ValueError(msg)
    return [([], given) for _, given in _together(*inputs)]


def _rotary_cached(*inputs: Any) -> list[Choice]:
    _, cos, sin, *place = inputs
    tables = [_token_shards(table.shape[:-1], *place) for table in (cos, sin)]
    return [
        ([one], [one, *given, *[None] * len(place)])
        for one, *given in zip(_shards(*place), *tables, strict=True)
    ]


def _length_numbers(*_: Any) -> list[Choice]:
    return [([Replicate()], [Replicate(), None])]  # the length is that of all tokens


def _together(*inputs: Any) -> list[Choice]:
    """Return the choices in which queries and keys lie alike, in the order of `_shards`."""
    _, _, position_ids, text, numbers, _, *place = inputs
    leading = int(outline(text, numbers).position_axes > 1)
    after = [None, None if numbers is None else Replicate(), None, *[None] * len(place)]
    ids = _token_shards(position_ids.shape, *place, leading=leading)
    return [
        ([one, one], [one, one, given, *after])
        for one, given in zip(_shards(*place), ids, strict=True)
    ]


def _shards(*place: Any) -> list[Any]:
    """Return how a tensor may lie: whole, by heads, by each axis of its tokens."""
    axes = TENSOR_FORMATS[Placement(*place).tensor_format]
    return [Replicate(), Shard(axes.head_axis), *map(Shard, axes.token_axes)]


def _token_shards(shape: tuple[int, ...], *place: Any, leading: int = 0) -> list[Any]:
    """Return how what broadcasts to the tokens, behind leading axes, lies beside `_shards`."""
    tokens = len(TENSOR_FORMATS[Placement(*place).tensor_format].token_axes)
    axes = range(len(shape) - tokens, len(shape))
    return [
        *(Replicate(), Replicate()),
        *(Replicate() if axis < leading or shape[axis] == 1 else Shard(axis) for axis in axes),
    ]


def _register(operator: Any, rule: Callable[..., list[Choice]]) -> None:
    register_sharding(operator)(rule)
    # A rule is asked once for what torch takes for the same call, by default whatever the strings
    # say. But they say which axis is which, and how many numbers a spectrum has.
    propagator = DTensor._op_dispatcher.sharding_propagator
    propagator.op_to_schema_info[operator].static_argnum = 0


_register(ops.rotary_qk, _rotary_qk)
_register(ops.rotary_qk_, _rotary_qk_)
_register(ops.rotary_cached, _rotary_cached)
_register(ops.length_numbers, _length_numbers)

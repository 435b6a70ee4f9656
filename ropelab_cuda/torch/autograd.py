"""How gradients flow through the operators."""

from __future__ import annotations

from typing import Any

import torch

from ropelab.layouts import pair_channels
from ropelab.pairs import Placement

from .ops import LIBRARY, rotary_cached, rotary_qk

__all__: list[str] = []


def _keep_positions(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    _, _, position_ids, ctx.spectrum, numbers, ctx.angles, *place = inputs
    ctx.place = Placement(*place)
    ctx.save_for_backward(position_ids, numbers)


def _turn_back(ctx: Any, q_grad: torch.Tensor, k_grad: torch.Tensor) -> tuple[Any, ...]:
    position_ids, numbers = ctx.saved_tensors
    place = ctx.place._replace(inverse=not ctx.place.inverse)
    made = rotary_qk(q_grad, k_grad, position_ids, ctx.spectrum, numbers, ctx.angles, *place)
    return (*made, *[None] * 9)


torch.library.register_autograd(
    "ropelab::rotary_qk", _turn_back, setup_context=_keep_positions, lib=LIBRARY
)

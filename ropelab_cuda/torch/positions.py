"""Positions as ids, made by torch's operations where an object says them."""

from __future__ import annotations

from typing import Any

import torch

from ropelab.checks import token_shape
from ropelab.positions import Consecutive, Packed

__all__ = ["listed"]


def listed(position_ids: Any, q: torch.Tensor, tensor_format: str) -> torch.Tensor:
    """Return the positions of the tokens of a tensor as ids on its device."""
    if isinstance(position_ids, torch.Tensor):
        return position_ids
    tokens = token_shape(tuple(q.shape), tensor_format, "q")
    if isinstance(position_ids, Consecutive):
        offset = torch.as_tensor(position_ids.offset, dtype=torch.int64, device=q.device)
        return offset.reshape(-1, 1) + torch.arange(tokens[-1], device=q.device)
    if isinstance(position_ids, Packed):
        ids = torch.from_numpy(position_ids.ids(tokens))
        return ids.to(q.device)
    return torch.as_tensor(position_ids, device=q.device)

"""Positions as ids, made by torch's operations where an object says them."""

from __future__ import annotations

from typing import Any

import torch

from ropelab.checks import token_shape
from ropelab.positions import Consecutive, Packed
from ropelab.positions.common import check_offset_shape, check_packed_tokens

from .plain import check_tensors

__all__ = ["PositionIds", "listed"]

PositionIds = torch.Tensor | Consecutive | Packed


def listed(position_ids: object, q: torch.Tensor, tensor_format: str) -> torch.Tensor:
    """Return positions as ids; nothing is read on the host, so graphs can hold it.

    Parameters
    ----------
    position_ids : torch.Tensor of int, Consecutive or Packed
        As in `ropelab.apply_rotary`. What an object says must be what that asks for; a token
        behind the last sequence of a pack gets position 0.
    q : torch.Tensor
        The tensor whose tokens they are of; only its shape, its device and its mesh matter.
    tensor_format : str
        Of `q`.

    Returns
    -------
    torch.Tensor of int
        The tensor that was given, or one of int64 that broadcasts to the tokens; where `q` is a
        DTensor, all ids on every rank.

    Raises
    ------
    TypeError
        If it is none of these, or a nested or sparse tensor.
    ValueError
        If a shape does not fit, or a DTensor, which has the tokens of all ranks, is said to be
        the part of one.
    """
    if isinstance(position_ids, torch.Tensor):
        check_tensors(position_ids=position_ids)
        return position_ids
    if not hasattr(q, "device_mesh"):
        return _counted(position_ids, q, tensor_format)
    if isinstance(position_ids, Packed) and position_ids.cp_size > 1:
        msg = (
            f"position_ids: expected a pack of whole sequences, since q is a DTensor; got "
            f"cp_size={position_ids.cp_size}; pass ids as a DTensor, sharded as q is"
        )
        raise ValueError(msg)
    from torch.distributed.tensor import DTensor, Replicate

    everywhere = [Replicate()] * q.device_mesh.ndim
    ids = _counted(position_ids, q, tensor_format)
    return DTensor.from_local(ids, q.device_mesh, everywhere, run_check=False)


def _counted(position_ids: object, q: torch.Tensor, tensor_format: str) -> torch.Tensor:
    if isinstance(position_ids, Consecutive):
        tokens = token_shape(tuple(q.shape), tensor_format, "q")
        first = _offset(position_ids.offset, q, 1 if len(tokens) == 1 else tokens[0])
        ids = first[:, None] + torch.arange(tokens[-1], device=q.device)
        return ids[0] if len(tokens) == 1 else ids
    if isinstance(position_ids, Packed):
        tokens = token_shape(tuple(q.shape), tensor_format, "q")
        check_packed_tokens(tokens)
        return _packed(position_ids, q, tokens[0])
    msg = (
        f"position_ids: expected a torch.Tensor of integers, or a Consecutive or Packed of "
        f"ropelab.positions; got {type(position_ids).__name__}; "
        f"torch.as_tensor(position_ids, device=q.device) makes a tensor"
    )
    raise TypeError(msg)


def _packed(pack: Packed, q: torch.Tensor, tokens: int) -> torch.Tensor:
    bounds = torch.as_tensor(pack.cu_seqlens, device=q.device).to(torch.int64)
    sequences, ranks, rank = bounds.shape[0] - 1, pack.cp_size, pack.cp_rank
    first = _offset(pack.offset, q, sequences).expand(sequences)
    if not sequences:
        return torch.zeros(tokens, dtype=torch.int64, device=q.device)
    token, own = torch.arange(tokens, device=q.device), bounds // ranks
    sequence = torch.searchsorted(own, token, right=True) - 1
    known = sequence.clamp(max=sequences - 1)
    place = token - own[known]
    if ranks > 1:  # pieces `rank` and `2 * ranks - 1 - rank` of each sequence
        piece = (own[known + 1] - own[known]) // 2
        later = (2 * ranks - 2 - rank) * piece
        place = place + torch.where(place < piece, rank * piece, later)
    return torch.where(sequence < sequences, place + first[known], 0)


def _offset(offset: Any, q: torch.Tensor, sequences: int) -> torch.Tensor:
    """Return offsets as a tensor that broadcasts to shape (sequences,)."""
    if isinstance(offset, int):  # without a copy from the host, which no graph could capture
        return torch.full((1,), offset, dtype=torch.int64, device=q.device)
    given = torch.as_tensor(offset, device=q.device).to(torch.int64)
    check_offset_shape(tuple(given.shape), sequences)
    return given.reshape(-1)

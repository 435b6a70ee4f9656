"""Positions as callers say them: taken through the gate, replayed, or, where need be, read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from ropelab.checks import check_positions
from ropelab.positions import Consecutive, Packed
from ropelab.positions.common import check_offset_shape, check_packed_tokens, check_reach

from .exchange import Gate, find_framework
from .position_sources import ConsecutiveSource, Ids, OffsetSource, PackedSource, PositionSource
from .tokens import Axes
from .views import View

__all__ = ["Parts", "on_host", "parts_of", "take_positions"]

_FAR = 2**62  # beyond, the whole way is gone, which looks whether positions leave 64 bits


class Parts(NamedTuple):
    """What a replay needs to know of positions.

    Parameters
    ----------
    tensors : tuple of tensor
        Those that a kernel reads.
    key : tuple
        What a plan depends on, beside them.
    numbers : tuple of int
        What it does not depend on.
    """

    tensors: tuple[Any, ...]
    key: tuple[Any, ...] = ()
    numbers: tuple[int, ...] = ()

    @property
    def are_near(self) -> bool:
        """Whether no number can lead out of 64 bits."""
        return all(-_FAR < number < _FAR for number in self.numbers)


def parts_of(position_ids: Any) -> Parts:
    """Return the tensors, options and numbers of which positions are made."""
    if not isinstance(position_ids, (Consecutive, Packed)):
        return Parts((position_ids,))
    offset = position_ids.offset
    known = isinstance(offset, int)
    tensors, numbers = (() if known else (offset,)), (offset if known else 0,)
    if isinstance(position_ids, Consecutive):
        return Parts(tensors, ("Consecutive", known), numbers)
    ranks = (position_ids.cp_size, position_ids.cp_rank)
    return Parts((position_ids.cu_seqlens, *tensors), ("Packed", known, *ranks), numbers)


def take_positions(gate: Gate, position_ids: Any, tokens: Axes, axes: int = 1) -> PositionSource:
    """Take the positions of some tokens; nothing is read.

    Parameters
    ----------
    gate : Gate
        Of the call.
    position_ids : tensor of int, Consecutive or Packed
        As in `ropelab.apply_rotary`.
    tokens : tuple of int
        (batch, sequence) or (tokens,).
    axes : int, default 1
        Number of position axes that the spectrum names.

    Returns
    -------
    PositionSource
        What plans take; its views are in the order of the tensors of `parts_of`.

    Raises
    ------
    TypeError
        If something is no tensor of integers.
    ValueError
        If a tensor lies elsewhere, or a shape does not fit.
    """
    if isinstance(position_ids, Consecutive):
        offset = _offset(gate, position_ids.offset, tokens[0] if len(tokens) > 1 else 1)
        check_reach(offset.number, tokens[-1], "offset")
        return ConsecutiveSource(offset)
    if isinstance(position_ids, Packed):
        return _packed(gate, position_ids, tokens)
    view = gate.integers(position_ids, "position_ids")
    check_positions(view.shape, tokens, axes=axes)
    return Ids(view)


def _packed(gate: Gate, given: Packed, tokens: Axes) -> PackedSource:
    check_packed_tokens(tokens)
    bounds = gate.integers(given.cu_seqlens, "cu_seqlens")
    if len(bounds.shape) != 1 or bounds.size == 0:
        msg = f"cu_seqlens: expected shape (sequences + 1,); got shape {bounds.shape}"
        raise ValueError(msg)
    offset = _offset(gate, given.offset, bounds.size - 1)
    check_reach(offset.number, tokens[0] * given.cp_size, "offset")
    if 2 * given.cp_size**2 * tokens[0] >= 2**63:  # as far as the kernel's products reach
        msg = f"cp_size: expected fewer ranks of {tokens[0]} tokens each; got {given.cp_size}"
        raise ValueError(msg)
    return PackedSource(offset, bounds, given.cp_size, given.cp_rank)


def _offset(gate: Gate, given: Any, sequences: int) -> OffsetSource:
    if isinstance(given, int):
        return OffsetSource(given)
    view: View = gate.integers(given, "offset")
    check_offset_shape(view.shape, sequences)
    return OffsetSource(0, view)


def on_host(position_ids: Any) -> Any:
    """Return positions in the host's memory, which waits for the device.

    Parameters
    ----------
    position_ids : tensor of int, Consecutive or Packed
        As in `ropelab.apply_rotary`.

    Returns
    -------
    ndarray, Consecutive or Packed
        The same positions; what is no tensor stays what it is.
    """
    if isinstance(position_ids, Consecutive):
        return replace(position_ids, offset=_read(position_ids.offset))
    if isinstance(position_ids, Packed):
        cu_seqlens, offset = _read(position_ids.cu_seqlens), _read(position_ids.offset)
        return replace(position_ids, cu_seqlens=cu_seqlens, offset=offset)
    return _read(position_ids)


def _read(x: Any) -> Any:
    framework = find_framework(x)
    return x if framework is None else framework.read(x)

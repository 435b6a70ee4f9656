"""Where a kernel finds the positions of its tokens: ids, or numbers to count from.

One class a source, all with the same methods. What lies in device memory is never read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ropelab.checks import check_positions
from ropelab.positions import Consecutive, Packed
from ropelab.positions.common import check_offset_shape, check_packed_tokens, check_reach

from . import parameters
from .exchange import Gate
from .launch import Macros
from .parameters import INTEGER_TYPES
from .tokens import Axes, broadcast_strides
from .views import View

__all__ = ["Ids", "PositionSource", "source_of", "take_positions"]


class PositionSource(Protocol):
    """What plans need to know of positions."""

    @property
    def macros(self) -> Macros:
        """The source, and the types of what it reads."""

    @property
    def views(self) -> Mapping[str, View]:
        """The memory that is read, by the names of arguments."""

    @property
    def pointers(self) -> tuple[int, ...]:
        """Offsets in the structure of the addresses of these views."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Offsets in it of the numbers that `replay` may change."""

    def axes(self, named: int) -> int:
        """Return how many axes of positions there are, where the spectrum names so many."""

    def rows(self, tokens: Axes, axes: int) -> list[Axes]:
        """Return strides along the token axes, to be walked with those of the tensors."""

    def structure(self, rows: list[Axes], axes: int) -> Any:
        """Return the kernel's parameters, given the rows as they are walked."""


@dataclass(frozen=True)
class Ids:
    """Position ids: a tensor that broadcasts to the tokens, by as many axes as are named."""

    view: View

    @property
    def pointers(self) -> tuple[int, ...]:
        """The address of the ids."""
        return (parameters.Positions.data.offset,)

    @property
    def numbers(self) -> tuple[int, ...]:
        """None."""
        return ()

    @property
    def macros(self) -> Macros:
        """The type of an id."""
        return {"POSITION": INTEGER_TYPES[self.view.dtype]}

    @property
    def views(self) -> Mapping[str, View]:
        """The ids."""
        return {"position_ids": self.view}

    def axes(self, named: int) -> int:
        """Return the axes that the spectrum names."""
        return named

    def rows(self, tokens: Axes, axes: int) -> list[Axes]:
        """Return the strides of the ids."""
        return [broadcast_strides(self.view, tokens, skip=int(axes > 1))]

    def structure(self, rows: list[Axes], axes: int) -> parameters.Positions:
        """Describe the ids."""
        return parameters.positions(self.view, rows[0], axes)


@dataclass(frozen=True)
class _Offset:
    """A number that the host knows, and a view of those that it does not."""

    number: int
    view: View | None = None

    @classmethod
    def take(cls, gate: Gate, offset: Any, sequences: int) -> _Offset:
        if isinstance(offset, int):
            return cls(offset)
        view = gate.integers(offset, "offset")
        check_offset_shape(view.shape, sequences)
        return cls(0, view)

    @property
    def type(self) -> str:
        """The kernels' name of the integers in memory; of any, where there are none."""
        return INTEGER_TYPES["int64" if self.view is None else self.view.dtype]

    @property
    def views(self) -> Mapping[str, View]:
        return {} if self.view is None else {"offset": self.view}

    @property
    def stride(self) -> int:
        """Step from one sequence's offset to the next one's; 0 for one that all share."""
        several = self.view is not None and self.view.size > 1
        return self.view.strides[0] if self.view is not None and several else 0

    def structure(self) -> parameters.Offset:
        return parameters.Offset(0 if self.view is None else self.view.pointer, self.number)


class _Counted:
    """Positions that a kernel counts; on every axis the same, so that it knows one alone."""

    def axes(self, named: int) -> int:
        """Return one."""
        del named
        return 1


@dataclass(frozen=True)
class _Consecutive(_Counted):
    """Of `ropelab.positions.Consecutive`."""

    offset: _Offset

    @property
    def macros(self) -> Macros:
        return {"POSITION_SOURCE": "Consecutive", "POSITION": self.offset.type}

    @property
    def views(self) -> Mapping[str, View]:
        return self.offset.views

    @property
    def pointers(self) -> tuple[int, ...]:
        at = parameters.Consecutive.offset.offset + parameters.Offset.data.offset
        return (at,) if self.offset.views else ()

    @property
    def numbers(self) -> tuple[int, ...]:
        return (parameters.Consecutive.offset.offset + parameters.Offset.number.offset,)

    def rows(self, tokens: Axes, axes: int) -> list[Axes]:
        """Return the strides of offsets and of places, as of tensors that lie in no memory."""
        del axes
        batch = tuple(0 if length == 1 else self.offset.stride for length in tokens[:-1])
        return [(*batch, 0), (*(0 for _ in batch), 1)]

    def structure(self, rows: list[Axes], axes: int) -> parameters.Consecutive:
        del axes
        return parameters.Consecutive(self.offset.structure(), *rows[0], *rows[1])


@dataclass(frozen=True)
class _Packed(_Counted):
    """Of `ropelab.positions.Packed`."""

    cu_seqlens: View
    offset: _Offset
    cp_size: int
    cp_rank: int

    @property
    def macros(self) -> Macros:
        types = f"{INTEGER_TYPES[self.cu_seqlens.dtype]}, {self.offset.type}"
        return {"POSITION_SOURCE": "Packed", "POSITION": types}

    @property
    def views(self) -> Mapping[str, View]:
        return {"cu_seqlens": self.cu_seqlens, **self.offset.views}

    @property
    def pointers(self) -> tuple[int, ...]:
        at = parameters.Packed.offset.offset + parameters.Offset.data.offset
        return (parameters.Packed.cu_seqlens.offset, *((at,) if self.offset.views else ()))

    @property
    def numbers(self) -> tuple[int, ...]:
        return (parameters.Packed.offset.offset + parameters.Offset.number.offset,)

    def rows(self, tokens: Axes, axes: int) -> list[Axes]:
        """Return none: packed tokens have one axis, along which the kernel counts."""
        del tokens, axes
        return []

    def structure(self, rows: list[Axes], axes: int) -> parameters.Packed:
        del rows, axes
        return parameters.Packed(
            self.cu_seqlens.pointer,
            self.cu_seqlens.strides[0],
            self.cu_seqlens.size - 1,
            self.offset.structure(),
            self.offset.stride,
            self.cp_size,
            self.cp_rank,
        )


def source_of(positions: View | PositionSource) -> PositionSource:
    """Return a source, which position ids are by themselves."""
    return Ids(positions) if isinstance(positions, View) else positions


def take_positions(gate: Gate, position_ids: Any, tokens: Axes, axes: int = 1) -> PositionSource:
    """Take the positions of some tokens, whichever way they are said.

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
        What plans take.

    Raises
    ------
    TypeError
        If something is no tensor of integers.
    ValueError
        If a tensor lies elsewhere, or a shape does not fit.
    """
    if isinstance(position_ids, Consecutive):
        return _take_consecutive(gate, position_ids, tokens)
    if isinstance(position_ids, Packed):
        return _take_packed(gate, position_ids, tokens)
    view = gate.integers(position_ids, "position_ids")
    check_positions(view.shape, tokens, axes=axes)
    return Ids(view)


def _take_consecutive(gate: Gate, given: Consecutive, tokens: Axes) -> _Consecutive:
    offset = _Offset.take(gate, given.offset, tokens[0] if len(tokens) > 1 else 1)
    check_reach(offset.number, tokens[-1], "offset")
    return _Consecutive(offset)


def _take_packed(gate: Gate, given: Packed, tokens: Axes) -> _Packed:
    check_packed_tokens(tokens)
    bounds = gate.integers(given.cu_seqlens, "cu_seqlens")
    if len(bounds.shape) != 1 or bounds.size == 0:
        msg = f"cu_seqlens: expected shape (sequences + 1,); got shape {bounds.shape}"
        raise ValueError(msg)
    offset = _Offset.take(gate, given.offset, bounds.size - 1)
    check_reach(offset.number, tokens[0] * given.cp_size, "offset")
    if 2 * given.cp_size**2 * tokens[0] >= 2**63:  # what the kernel's arithmetic reaches
        msg = f"cp_size: expected fewer ranks of {tokens[0]} tokens each; got {given.cp_size}"
        raise ValueError(msg)
    return _Packed(bounds, offset, given.cp_size, given.cp_rank)

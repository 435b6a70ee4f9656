"""Where a kernel finds the positions of its tokens: ids, or numbers to count from.

One class a source, all with the same methods; pure arithmetic, as plans are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from . import parameters
from .parameters import INTEGER_TYPES
from .tokens import Axes, broadcast_strides
from .views import View

__all__ = ["ConsecutiveSource", "Ids", "OffsetSource", "PackedSource", "PositionSource"]

Macros = dict[str, str | int]


class PositionSource(Protocol):
    """What plans need to know of positions."""

    @property
    def macros(self) -> Macros:
        """The source as tokens.cuh names it, and the types of what it reads."""

    @property
    def views(self) -> Mapping[str, View]:
        """The memory that is read, by the names of arguments."""

    @property
    def pointers(self) -> tuple[int, ...]:
        """Offsets in the structure of the addresses of these views."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Offsets in it of the host's numbers, which a replay may change."""

    def axes(self, named: int) -> int:
        """Return how many axes positions have, where the spectrum names so many."""

    def rows(self, tokens: Axes, axes: int) -> list[Axes]:
        """Return strides along the token axes, to be walked with those of the tensors."""

    def structure(self, rows: list[Axes], axes: int) -> Any:
        """Return the kernel's parameters, given the rows as they are walked."""


@dataclass(frozen=True)
class Ids:
    """Position ids: a tensor that broadcasts to the tokens, by as many axes as are named."""

    view: View

    @property
    def macros(self) -> Macros:
        """The type of an id."""
        return {"POSITION": INTEGER_TYPES[self.view.dtype]}

    @property
    def views(self) -> Mapping[str, View]:
        """The ids."""
        return {"position_ids": self.view}

    @property
    def pointers(self) -> tuple[int, ...]:
        """Where the ids are."""
        return (parameters.Positions.data.offset,)

    @property
    def numbers(self) -> tuple[int, ...]:
        """None."""
        return ()

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
class OffsetSource:
    """Where sequences start: a number that the host knows, or integers that it does not."""

    number: int
    view: View | None = None

    @property
    def type(self) -> str:
        """The kernels' name of the integers in memory; any, where there are none."""
        return INTEGER_TYPES["int64" if self.view is None else self.view.dtype]

    @property
    def views(self) -> Mapping[str, View]:
        """The integers."""
        return {} if self.view is None else {"offset": self.view}

    @property
    def pointers(self) -> tuple[int, ...]:
        """Where the integers are."""
        return () if self.view is None else (parameters.Offset.data.offset,)

    @property
    def stride(self) -> int:
        """The step from one sequence's offset to the next one's; 0 for one that all share."""
        return 0 if self.view is None or self.view.size <= 1 else self.view.strides[0]

    @property
    def structure(self) -> parameters.Offset:
        """The kernel's parameters."""
        return parameters.Offset(0 if self.view is None else self.view.pointer, self.number)


@dataclass(frozen=True)
class _Counted:
    """What kernels count from, whichever way."""

    offset: OffsetSource

    def axes(self, named: int) -> int:
        """Return one: text has the same position on every axis, so the kernel needs to know one."""
        del named
        return 1


@dataclass(frozen=True)
class ConsecutiveSource(_Counted):
    """Positions that follow one another along the sequence."""

    @property
    def macros(self) -> Macros:
        """The source, and the type of an offset."""
        return {"POSITION_SOURCE": "Consecutive", "POSITION": self.offset.type}

    @property
    def views(self) -> Mapping[str, View]:
        """The offsets, if they lie in memory."""
        return self.offset.views

    @property
    def pointers(self) -> tuple[int, ...]:
        """Where the offsets are."""
        return tuple(parameters.Consecutive.offset.offset + at for at in self.offset.pointers)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The offset that the host knows."""
        return (parameters.Consecutive.offset.offset + parameters.Offset.number.offset,)

    def rows(self, tokens: Axes, axes: int) -> list[Axes]:
        """Return the strides of offsets and of places, as of tensors that lie in no memory."""
        del axes
        batch = tuple(0 if length == 1 else self.offset.stride for length in tokens[:-1])
        return [(*batch, 0), (*(0 for _ in batch), 1)]

    def structure(self, rows: list[Axes], axes: int) -> parameters.Consecutive:
        """Describe the offsets, and how the places are counted."""
        del axes
        return parameters.Consecutive(self.offset.structure, *rows[0], *rows[1])


@dataclass(frozen=True)
class PackedSource(_Counted):
    """Positions that start again at each sequence of a pack, or of one rank's part of it."""

    cu_seqlens: View
    cp_size: int
    cp_rank: int

    @property
    def macros(self) -> Macros:
        """The source, and the types of a cumulative length and of an offset."""
        types = f"{INTEGER_TYPES[self.cu_seqlens.dtype]}, {self.offset.type}"
        return {"POSITION_SOURCE": "Packed", "POSITION": types}

    @property
    def views(self) -> Mapping[str, View]:
        """The cumulative lengths, and the offsets if they lie in memory."""
        return {"cu_seqlens": self.cu_seqlens, **self.offset.views}

    @property
    def pointers(self) -> tuple[int, ...]:
        """Where the cumulative lengths and the offsets are."""
        offsets = (parameters.Packed.offset.offset + at for at in self.offset.pointers)
        return (parameters.Packed.cu_seqlens.offset, *offsets)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The offset that the host knows."""
        return (parameters.Packed.offset.offset + parameters.Offset.number.offset,)

    def rows(self, tokens: Axes, axes: int) -> list[Axes]:
        """Return none: packed tokens have one axis, along which the kernel counts."""
        del tokens, axes
        return []

    def structure(self, rows: list[Axes], axes: int) -> parameters.Packed:
        """Describe the pack."""
        del rows, axes
        return parameters.Packed(
            self.cu_seqlens.pointer,
            self.cu_seqlens.strides[0],
            self.cu_seqlens.size - 1,
            self.offset.structure,
            self.offset.stride,
            self.cp_size,
            self.cp_rank,
        )

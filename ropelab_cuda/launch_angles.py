"""The part of a plan that says by how much tokens turn: where positions and frequencies lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import parameters
from .device_spectrum import AnySpectrum
from .launch import Macros
from .position_sources import Ids, PositionSource
from .tokens import Axes
from .views import View

__all__ = ["Angles", "Places", "places_of"]


class Places(NamedTuple):
    """Where a structure holds what differs between calls of a kind.

    Parameters
    ----------
    others : tuple of int
        Offsets of the addresses of positions, tables and other inputs.
    numbers : tuple of int, default ()
        Offsets of numbers.
    """

    others: tuple[int, ...]
    numbers: tuple[int, ...] = ()


def places_of(structure: Any, source: PositionSource) -> Places:
    """Return where a structure holds what its field `positions` does."""
    start = type(structure).positions.offset
    pointers, numbers = source.pointers, source.numbers
    return Places(tuple(start + at for at in pointers), tuple(start + at for at in numbers))


@dataclass(frozen=True)
class Angles:
    """Angles that a kernel computes from positions and frequencies.

    Parameters
    ----------
    source : PositionSource
        Where it finds the positions.
    spectrum : Spectrum or DeviceSpectrum
        The frequencies.
    numbers : Numbers
        How its parameters store them.
    """

    source: PositionSource
    spectrum: AnySpectrum
    numbers: parameters.Numbers

    @classmethod
    def of(
        cls, positions: View | PositionSource, spectrum: AnySpectrum, angles: str, *dtypes: str
    ) -> Angles:
        """Return the angles of a pipeline for tensors of these dtypes; a view is one of ids."""
        source = Ids(positions) if isinstance(positions, View) else positions
        numbers = parameters.Numbers.of(spectrum, angles, *dtypes)
        return cls(source, spectrum, numbers._replace(axes=source.axes(numbers.axes)))

    @property
    def macros(self) -> Macros:
        """What kernels need to know of them."""
        return self.numbers.macros | self.source.macros

    @property
    def can_be_guessed(self) -> bool:
        """Whether they can be computed before the predecessors are done, and then compared."""
        return self.numbers.axes == 1 and not self.numbers.on_device

    def rows(self, tokens: Axes) -> list[Axes]:
        """Return strides along the token axes, to be walked with those of the tensors."""
        return self.source.rows(tokens, self.numbers.axes)

    def structure(self, kind: Callable[..., Any], rows: list[Axes], *, inverse: bool) -> Any:
        """Return a structure that has `positions` and `spectrum` filled in.

        Parameters
        ----------
        kind : callable
            Of `parameters`: makes the structure's type of numbers and the type of its positions.
        rows : list of tuple of int
            Those of `rows`, as they are walked.
        inverse : bool
            Whether to rotate by minus the angle.

        Returns
        -------
        ctypes.Structure
            The other fields are zeros.
        """
        positions = self.source.structure(rows, self.numbers.axes)
        structure = kind(self.numbers, type(positions))()
        structure.positions = positions
        parameters.fill_spectrum(structure, self.spectrum, self.numbers, inverse=inverse)
        return structure

    def places(self, structure: Any) -> Places:
        """Return where such a structure holds what differs between calls."""
        places = places_of(structure, self.source)
        if self.numbers.on_device:  # the first field of the spectrum is its address
            places = places._replace(others=(*places.others, type(structure).spectrum.offset))
        return places

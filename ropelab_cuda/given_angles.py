"""Angles as callers say them: positions, frequencies and a pipeline; taken, or replayed."""

from __future__ import annotations

from typing import Any, NamedTuple

from ropelab.checks import ANGLES, check_choice, check_rotary_offset, check_width, token_shape
from ropelab.pairs import Placement
from ropelab.positions import Consecutive, Packed

from .device_spectrum import AnySpectrum, DeviceSpectrum, check_any_spectrum
from .exchange import Gate
from .given_positions import Parts, parts_of, take_positions
from .position_sources import PositionSource
from .recordings import Key
from .views import View

__all__ = ["GivenAngles"]


class GivenAngles(NamedTuple):
    """By how much tokens are to be turned, as a caller said; unchecked."""

    position_ids: Any
    spectrum: AnySpectrum
    pipeline: str

    @property
    def are_whole(self) -> bool:
        """Whether they come in no parts: of ids, and of a spectrum that the host knows."""
        in_parts = isinstance(self.position_ids, (Consecutive, Packed))
        return not in_parts and not isinstance(self.spectrum, DeviceSpectrum)

    @property
    def keyed(self) -> object:
        """What the key of a call names, so that a recording has to keep it alive: no memory."""
        return self.spectrum.rule if isinstance(self.spectrum, DeviceSpectrum) else self.spectrum

    def in_parts(self, call: Key) -> tuple[Parts, Key]:
        """Return what a replay needs to know of them, in a call of that key.

        Parameters
        ----------
        call : tuple
            The function and its options; the second entry is the id of the spectrum.

        Returns
        -------
        parts : Parts
            The tensors that a kernel reads, and numbers.
        call : tuple
            The key of every call of the same kind.
        """
        parts = parts_of(self.position_ids)
        call = (*call, *parts.key)
        if isinstance(self.spectrum, DeviceSpectrum):  # a new one at each call, but of an old rule
            call = (call[0], self.spectrum.rule, *call[2:])
            parts = parts._replace(tensors=(*parts.tensors, self.spectrum.buffer))
        return parts, call

    def take(
        self, gate: Gate, x: View, name: str, place: Placement
    ) -> tuple[PositionSource, Placement]:
        """Check them against a tensor, and have what they are made of ready for the launch.

        Parameters
        ----------
        gate : Gate
            Of the call.
        x : View
            A tensor to be turned.
        name : str
            What messages call it.
        place : Placement
            Where its pairs lie.

        Returns
        -------
        positions : PositionSource
            What plans take for them.
        place : Placement
            With the first channel as an int, and no other integer that may change.

        Raises
        ------
        TypeError
            If something is of another type.
        ValueError
            If a tensor lies elsewhere, or a shape or an option does not fit.
        """
        check_choice(self.pipeline, ANGLES, "angles")
        check_any_spectrum(self.spectrum)
        gate.order(self.spectrum)
        rotary_dim, head_dim = self.spectrum.rotary_dim, x.shape[-1]
        check_width(rotary_dim, head_dim, name)
        offset = check_rotary_offset(place.rotary_offset, rotary_dim, head_dim)
        tokens = token_shape(x.shape, place.tensor_format, name)
        axes = self.spectrum.position_axes
        positions = take_positions(gate, self.position_ids, tokens, axes)
        return positions, place._replace(rotary_offset=offset)

    def views(self, positions: PositionSource) -> list[View]:
        """Return the memory of the tensors of the parts."""
        views = [*positions.views.values()]
        return [*views, self.spectrum.view] if isinstance(self.spectrum, DeviceSpectrum) else views

"""A spectrum whose numbers lie in device memory, where the length of a call is known."""

from __future__ import annotations

import ctypes
from ctypes import c_double, c_float, c_int64, c_uint64
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropelab import Spectrum

from .frameworks import Framework
from .length_rules import LengthRule
from .views import View

__all__ = [
    "AnySpectrum",
    "DeviceSpectrum",
    "check_any_spectrum",
    "numbers_words",
    "spectrum_numbers",
]


@cache
def spectrum_numbers(pairs: int) -> type[Any]:
    """Return the structure of a spectrum's numbers in device memory, as spectrum_numbers.cuh."""
    fields = (
        ("attention_factor", c_double),
        ("length", c_int64),
        ("inv_freq", c_double * pairs),
        ("turns", c_uint64 * pairs),
        ("period", c_int64 * pairs),
        ("inv_freq_float", c_float * pairs),
    )
    return type("SpectrumNumbers", (ctypes.Structure,), {"_fields_": fields})


def numbers_words(pairs: int) -> int:
    """Return the size of a spectrum's numbers, in words of 64 bits."""
    return ctypes.sizeof(spectrum_numbers(pairs)) // 8


@dataclass(frozen=True, eq=False, slots=True)
class DeviceSpectrum:
    """Frequencies and amplitudes that the device has computed, and that the host has not seen.

    `ropelab_cuda.spectrum_on_device` makes one; every rotation takes it in place of a
    `ropelab.Spectrum`. It belongs to the stream on which it was made. A CUDA graph that captures
    its making computes it anew at each replay.

    Parameters
    ----------
    rule : LengthRule
        The rope's rule.
    buffer : tensor of int64
        The numbers: 28 bytes a pair, and 8 bytes a block where many positions were looked through.
        Beside outputs it is the only memory that a call allocates.
    view : View
        The memory of `buffer`.
    framework : Framework
        Whose tensor `buffer` is.
    """

    rule: LengthRule
    buffer: Any
    view: View
    framework: Framework

    @property
    def rotary_dim(self) -> int:
        """Number of rotated channels ``d``, two a pair."""
        return self.rule.spectrum.rotary_dim

    @property
    def axes(self) -> NDArray[np.int64]:
        """Which position axis turns each pair, shape (d/2,)."""
        assert self.rule.spectrum.axes is not None
        return self.rule.spectrum.axes

    @property
    def position_axes(self) -> int:
        """Number of axes that position_ids must carry."""
        return self.rule.spectrum.position_axes

    @property
    def softmax_factor(self) -> float:
        """Multiplies the softmax scale, alike at every length."""
        return self.rule.spectrum.softmax_factor

    @property
    def has_periods(self) -> bool:
        """Whether pairs may repeat exactly after a whole number of tokens."""
        return self.rule.has_periods

    def numbers_on_host(self) -> Any:
        """Copy the numbers to the host, which waits for the device.

        Returns
        -------
        ctypes.Structure
            `attention_factor`, `length` (0 if there was no position), and an array a pair:
            `inv_freq`, `turns`, `period` and `inv_freq_float`.
        """
        memory = self.framework.read(self.buffer)
        return spectrum_numbers(self.rotary_dim // 2).from_buffer_copy(memory.tobytes())

    def to_host(self) -> Spectrum:
        """Copy the spectrum to the host, which waits for the device.

        Returns
        -------
        ropelab.Spectrum
            The same numbers.
        """
        numbers = self.numbers_on_host()
        periods = np.array(numbers.period[:]) if self.has_periods else None
        return Spectrum(
            numbers.inv_freq[:], numbers.attention_factor, self.softmax_factor, self.axes, periods
        )


AnySpectrum = Spectrum | DeviceSpectrum


def check_any_spectrum(spectrum: object) -> None:
    """Raise TypeError unless it is a Spectrum, on the host or on the device."""
    if not isinstance(spectrum, Spectrum | DeviceSpectrum):
        msg = (
            f"spectrum: expected a ropelab.Spectrum; got {type(spectrum).__name__}; "
            f"a Rope gives one by .spectrum()"
        )
        raise TypeError(msg)

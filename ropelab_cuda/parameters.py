"""The parameter structures of the kernels, field by field as the CUDA sources declare them.

Each kernel takes one structure by value. Its size is compiled into the kernel as PARAMETER_BYTES
and asserted there, so the two declarations cannot drift apart unnoticed.
"""

from __future__ import annotations

import ctypes
from ctypes import c_double, c_float, c_int64, c_uint8, c_uint64
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .device_spectrum import AnySpectrum, DeviceSpectrum
from .structures import (
    AllPositions,
    CacheStrides,
    Consecutive,
    LargestPositions,
    Norm,
    Offset,
    Operand,
    Packed,
    Positions,
    RotaryCached,
    Slots,
    Table,
    Tensors,
    TokenGrid,
)
from .views import View

__all__ = [
    "INTEGER_TYPES",
    "MAX_BYTES",
    "AllPositions",
    "CacheStrides",
    "Consecutive",
    "LargestPositions",
    "Norm",
    "Numbers",
    "Offset",
    "Operand",
    "Packed",
    "Positions",
    "RotaryCached",
    "Slots",
    "Table",
    "Tensors",
    "TokenGrid",
    "cos_sin_table",
    "fill_spectrum",
    "length_spectrum",
    "norm_rotary",
    "permute",
    "phases",
    "positions",
    "rotary",
    "rotary_indexed",
    "rotary_kv_cache",
    "rotary_xpos",
]

# The kernels' names of the integer dtypes.
INTEGER_TYPES = {
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned",
}

# Since CUDA 12.1 the parameters of a kernel may take 32,764 bytes.
MAX_BYTES = 32_764


class Numbers(NamedTuple):
    """How a structure stores a spectrum.

    Parameters
    ----------
    pairs : int
        Number of frequencies.
    axes : int
        Number of position axes.
    periods : bool
        Whether any pair repeats after a whole number of tokens.
    frequency, trig : str
        The C types of a frequency and of its cosine.
    on_device : bool
        Whether the numbers lie in device memory.
    """

    pairs: int
    axes: int
    periods: bool
    frequency: str
    trig: str
    on_device: bool = False

    @classmethod
    def of(cls, spectrum: AnySpectrum, angles: str, *dtypes: str) -> Numbers:
        """Return how an angle pipeline stores a spectrum, for tensors of these dtypes."""
        frequency, trig = "unsigned long long", "double" if "float64" in dtypes else "float"
        if angles == "float32":
            frequency = trig = "float"
        pairs, axes = spectrum.rotary_dim // 2, spectrum.position_axes
        if isinstance(spectrum, DeviceSpectrum):
            return cls(pairs, axes, spectrum.has_periods, frequency, trig, on_device=True)
        return cls(pairs, axes, spectrum.periods is not None, frequency, trig)

    @property
    def macros(self) -> dict[str, str | int]:
        """The macros by which the sources learn it."""
        return {
            "PAIRS": self.pairs,
            "POSITION_AXES": self.axes,
            "PERIODS": int(self.periods),
            "FREQUENCY": self.frequency,
            "TRIG": self.trig,
            "SPECTRUM_ON_DEVICE": int(self.on_device),
        }


@cache
def rotary(numbers: Numbers, positions: type[Any] = Positions) -> type[Any]:
    """Return the parameters of rotary.cu with such a spectrum and source of positions."""
    head = (("tensors", Tensors), ("positions", positions))
    return _ending_in_spectrum("Rotary", head, numbers)


@cache
def rotary_xpos(numbers: Numbers, positions: type[Any] = Positions) -> type[Any]:
    """Return the parameters of rotary_xpos.cu: those of rotary.cu, and a decay."""
    fields: list[tuple[str, Any]] = [("centre", c_double), ("centre_word", c_uint64)]
    fields += [(name, c_double * numbers.pairs) for name in ("rate", "rate_rest")]
    decay = type("Decay", (ctypes.Structure,), {"_fields_": fields})
    head = (("tensors", Tensors), ("positions", positions), ("decay", decay))
    return _ending_in_spectrum("RotaryXpos", head, numbers)


@cache
def rotary_indexed(positions: type[Any]) -> type[Any]:
    """Return the parameters of rotary_cached.cu for a row a position, of such a source."""
    fields = (("positions", positions), ("rows", c_int64), ("overrun_flag", c_uint64))
    return type("RotaryIndexed", (RotaryCached,), {"_fields_": fields})


@cache
def rotary_kv_cache(numbers: Numbers, positions: type[Any] = Positions) -> type[Any]:
    """Return the parameters of rotary_kv_cache.cu with such a spectrum and source of positions."""
    head = (
        ("tensors", Tensors),
        ("v", Operand),
        ("k_cache", CacheStrides),
        ("v_cache", CacheStrides),
        ("slots", Slots),
        ("positions", positions),
    )
    return _ending_in_spectrum("RotaryKvCache", head, numbers)


@cache
def norm_rotary(numbers: Numbers, positions: type[Any] = Positions) -> type[Any]:
    """Return the parameters of norm_rotary.cu with such a spectrum and source of positions."""
    head = (
        ("tensors", Tensors),
        ("q", Norm),
        ("k", Norm),
        ("eps", c_double),
        ("weight_offset", c_double),
        ("positions", positions),
    )
    return _ending_in_spectrum("NormRotary", head, numbers)


@cache
def cos_sin_table(numbers: Numbers) -> type[Any]:
    """Return the parameters of cos_sin_table.cu with such a spectrum."""
    head = (("cos", c_uint64), ("sin", c_uint64), ("grid", TokenGrid), ("positions", Positions))
    return _ending_in_spectrum("CosSinTable", head, numbers)


@cache
def phases(numbers: Numbers) -> type[Any]:
    """Return the parameters of phases.cu with such a spectrum."""
    head = (("phases", c_uint64), ("grid", TokenGrid), ("positions", Positions))
    return _ending_in_spectrum("Phases", head, numbers)


@cache
def length_spectrum(rule: type[Any]) -> type[Any]:
    """Return the parameters of length_spectrum.cu for a rule's structure."""
    fields = [("all", AllPositions), ("numbers", c_uint64), ("rule", rule)]
    structure = type("LengthSpectrum", (ctypes.Structure,), {"_fields_": fields})
    if ctypes.sizeof(structure) > MAX_BYTES:
        msg = (
            f"rope: expected a rule whose parameters fit into the {MAX_BYTES} bytes of a kernel's; "
            f"got {ctypes.sizeof(structure)} bytes; pass rope.spectrum(seq_len)"
        )
        raise ValueError(msg)
    return structure


@cache
def permute(row_axes: int) -> type[Any]:
    """Return the parameters of permute.cu for rows along so many axes."""
    steps = c_int64 * row_axes
    fields: list[tuple[str, Any]] = [("x", c_uint64), ("out", c_uint64), ("rows", c_int64)]
    fields += [(name, steps) for name in ("lengths", "x_strides", "out_strides")]
    return type("Permute", (ctypes.Structure,), {"_fields_": fields})


def _ending_in_spectrum(
    name: str, head: tuple[tuple[str, type[Any]], ...], numbers: Numbers
) -> type[Any]:
    trig = c_float if numbers.trig == "float" else c_double
    frequency = c_float if numbers.frequency == "float" else c_uint64
    fields: list[tuple[str, Any]] = [
        ("cos_factor", trig),
        ("sin_factor", trig),
        ("frequency", frequency * numbers.pairs),
    ]
    if numbers.on_device:
        fields = [("numbers", c_uint64), ("direction", c_double)]
    if numbers.axes > 1:
        fields.append(("axis", c_uint8 * numbers.pairs))
    if numbers.periods and not numbers.on_device:
        fields.append(("period", c_int64 * numbers.pairs))
    spectrum = type("Spectrum", (ctypes.Structure,), {"_fields_": fields})
    structure = type(name, (ctypes.Structure,), {"_fields_": [*head, ("spectrum", spectrum)]})
    if ctypes.sizeof(structure) > MAX_BYTES or numbers.axes > 256:
        msg = (
            f"spectrum: expected at most 256 position axes, and frequencies that fit into "
            f"{MAX_BYTES} bytes of kernel parameters; got {numbers.axes} axes and {numbers.pairs} "
            f"frequencies, {ctypes.sizeof(structure)} bytes in all; rotate fewer channels"
        )
        raise ValueError(msg)
    return structure


def fill_spectrum(target: Any, spectrum: AnySpectrum, numbers: Numbers, *, inverse: bool) -> None:
    """Copy a spectrum into a structure, or where it lies.

    Parameters
    ----------
    target : ctypes.Structure
        One made by `rotary`, `rotary_xpos`, `rotary_kv_cache`, `norm_rotary`, `cos_sin_table` or
        `phases`.
    spectrum : Spectrum or DeviceSpectrum
        The frequencies and the attention factor.
    numbers : Numbers
        How the structure stores them.
    inverse : bool
        Whether to rotate by minus the angle.
    """
    if numbers.axes > 1:
        assert spectrum.axes is not None
        target.spectrum.axis[:] = spectrum.axes.tolist()
    if isinstance(spectrum, DeviceSpectrum):
        target.spectrum.numbers = spectrum.view.pointer
        target.spectrum.direction = -1.0 if inverse else 1.0
        return
    exact = numbers.frequency != "float"
    values = spectrum.turns if exact else spectrum.inv_freq.astype(np.float32)
    factor = spectrum.attention_factor
    target.spectrum.cos_factor = factor
    target.spectrum.sin_factor = -factor if inverse else factor
    ctypes.memmove(target.spectrum.frequency, values.ctypes.data, values.nbytes)
    if spectrum.periods is not None:
        target.spectrum.period[:] = spectrum.periods.tolist()


def positions(view: View, strides: tuple[int, ...], axes: int) -> Positions:
    """Describe position ids whose strides along the tokens are (outer, inner)."""
    axis_stride = view.strides[0] if axes > 1 else 0
    return Positions(view.pointer, axis_stride, *strides)

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

from ropelab import Spectrum

from .views import View

__all__ = [
    "INTEGER_TYPES",
    "MAX_BYTES",
    "Norm",
    "Numbers",
    "Operand",
    "Positions",
    "RotaryCached",
    "Table",
    "Tensors",
    "TokenGrid",
    "cos_sin_table",
    "fill_spectrum",
    "norm_rotary",
    "phases",
    "positions",
    "rotary",
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


class TokenGrid(ctypes.Structure):
    """Numbers of tokens along both token axes, and of blocks along the inner one."""

    _fields_ = (("outer", c_int64), ("inner", c_int64), ("groups", c_int64))


class Operand(ctypes.Structure):
    """A query or key tensor and where its rotation goes; strides count elements.

    `scale` is the address of a float32, or 0 if `inverse_scale` is given.
    """

    _fields_ = (
        ("x", c_uint64),
        ("out", c_uint64),
        ("x_outer", c_int64),
        ("x_inner", c_int64),
        ("x_head", c_int64),
        ("out_outer", c_int64),
        ("out_inner", c_int64),
        ("out_head", c_int64),
        ("heads", c_int64),
        ("inverse_scale", c_double),
        ("scale", c_uint64),
    )


class Tensors(ctypes.Structure):
    """Queries and keys over the same tokens; `tail` counts channels that pass through."""

    _fields_ = (("q", Operand), ("k", Operand), ("grid", TokenGrid), ("tail", c_int64))


class Positions(ctypes.Structure):
    """Position ids over the same tokens."""

    _fields_ = (
        ("data", c_uint64),
        ("axis_stride", c_int64),
        ("outer_stride", c_int64),
        ("inner_stride", c_int64),
    )


class Norm(ctypes.Structure):
    """Weights of one tensor's heads, 0 for none, and the share of a channel in the mean."""

    _fields_ = (("weights", c_uint64), ("head_stride", c_int64), ("share", c_double))


class Table(ctypes.Structure):
    """Given cosines or sines over the same tokens."""

    _fields_ = (("data", c_uint64), ("outer_stride", c_int64), ("inner_stride", c_int64))


class RotaryCached(ctypes.Structure):
    """Parameters of rotary_cached.cu."""

    _fields_ = (("tensors", Tensors), ("cos", Table), ("sin", Table), ("direction", c_double))


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
    """

    pairs: int
    axes: int
    periods: bool
    frequency: str
    trig: str

    @classmethod
    def of(cls, spectrum: Spectrum, angles: str, *dtypes: str) -> Numbers:
        """Return how an angle pipeline stores a spectrum, for tensors of these dtypes."""
        frequency, trig = "unsigned long long", "double" if "float64" in dtypes else "float"
        if angles == "float32":
            frequency = trig = "float"
        periods = spectrum.periods is not None
        return cls(spectrum.rotary_dim // 2, spectrum.position_axes, periods, frequency, trig)

    @property
    def macros(self) -> dict[str, str | int]:
        """The macros by which the sources learn it."""
        return {
            "PAIRS": self.pairs,
            "POSITION_AXES": self.axes,
            "PERIODS": int(self.periods),
            "FREQUENCY": self.frequency,
            "TRIG": self.trig,
        }


@cache
def rotary(numbers: Numbers) -> type[Any]:
    """Return the parameters of rotary.cu with such a spectrum."""
    head = (("tensors", Tensors), ("positions", Positions))
    return _ending_in_spectrum("Rotary", head, numbers)


@cache
def norm_rotary(numbers: Numbers) -> type[Any]:
    """Return the parameters of norm_rotary.cu with such a spectrum."""
    head = (
        ("tensors", Tensors),
        ("q", Norm),
        ("k", Norm),
        ("eps", c_double),
        ("weight_offset", c_double),
        ("positions", Positions),
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
    if numbers.axes > 1:
        fields.append(("axis", c_uint8 * numbers.pairs))
    if numbers.periods:
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


def fill_spectrum(target: Any, spectrum: Spectrum, numbers: Numbers, *, inverse: bool) -> None:
    """Copy a spectrum into a structure.

    Parameters
    ----------
    target : ctypes.Structure
        One made by `rotary`, `norm_rotary`, `cos_sin_table` or `phases`.
    spectrum : Spectrum
        The frequencies and the attention factor.
    numbers : Numbers
        How the structure stores them.
    inverse : bool
        Whether to rotate by minus the angle.
    """
    exact = numbers.frequency != "float"
    values = spectrum.turns if exact else spectrum.inv_freq.astype(np.float32)
    factor = spectrum.attention_factor
    target.spectrum.cos_factor = factor
    target.spectrum.sin_factor = -factor if inverse else factor
    ctypes.memmove(target.spectrum.frequency, values.ctypes.data, values.nbytes)
    if numbers.axes > 1:
        assert spectrum.axes is not None
        target.spectrum.axis[:] = spectrum.axes.tolist()
    if spectrum.periods is not None:
        target.spectrum.period[:] = spectrum.periods.tolist()


def positions(view: View, strides: tuple[int, ...], axes: int) -> Positions:
    """Describe position ids whose strides along the tokens are (outer, inner)."""
    axis_stride = view.strides[0] if axes > 1 else 0
    return Positions(view.pointer, axis_stride, *strides)

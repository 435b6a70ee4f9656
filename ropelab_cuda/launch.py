"""From views, numbers and options to a plan: which kernel, which grid, which parameters.

Pure arithmetic, without a GPU: the tests run the same plans on the CPU. All views have passed
their checks.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from . import parameters
from .compile import Specialisation
from .device_spectrum import AnySpectrum
from .tokens import broadcast_strides, walk
from .views import View

__all__ = [
    "FORMATS",
    "MAX_HEAD_BLOCKS",
    "MAX_THREADS",
    "MAX_TOKENS",
    "OUTPUT_FORMATS",
    "Macros",
    "Plan",
    "grid_of",
    "plan_cos_sin",
    "plan_phases",
]

# The kernels' names of the dtypes: of what comes in, and of what goes out.
FORMATS = {
    "float64": "Float64",
    "float32": "Float32",
    "float16": "Float16",
    "bfloat16": "Bfloat16",
}
OUTPUT_FORMATS = {**FORMATS, "float8_e4m3fn": "Float8E4M3", "float8_e5m2": "Float8E5M2"}
MAX_THREADS = 512  # of a block
MAX_TOKENS = 64  # of a block: the hardware counts no further along its third axis
MAX_BLOCKS = 2**31 - 1  # of a launch
MAX_HEAD_BLOCKS = 65_535  # along its second axis

Macros = dict[str, str | int]


@dataclass(frozen=True)
class Plan:
    """One launch.

    Parameters
    ----------
    specialisation : Specialisation
        Which kernel.
    grid, block : tuple of int
        Numbers of blocks and of threads. A grid with a zero has nothing to do.
    parameters : ctypes.Structure
        The kernel's only argument.
    pointers : tuple of (int, str, int), default ()
        Where the parameters hold the address of which tensor: an offset in bytes, and which
        "input" (to be rotated), "other" input or "output". A plan without them is not replayed.
    numbers : tuple of int, default ()
        Where they hold 64-bit integers that a replay may change: offsets in bytes.
    """

    specialisation: Specialisation
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    parameters: ctypes.Structure
    pointers: tuple[tuple[int, str, int], ...] = ()
    numbers: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do; CuPy would launch one block all the same."""
        return 0 in self.grid


def specialise(kernel: str, macros: Macros, structure: Any) -> Specialisation:
    """Name a kernel, its macros and the size of its parameters."""
    common = {"MAX_THREADS": MAX_THREADS, "PARAMETER_BYTES": ctypes.sizeof(structure)}
    return Specialisation(kernel, tuple((macros | common).items()))


def grid_of(tokens: parameters.TokenGrid, together: int) -> int:
    """Divide tokens among blocks.

    Parameters
    ----------
    tokens : parameters.TokenGrid
        Of the kernel's parameters; its `groups` is filled in.
    together : int
        Tokens of a block, neighbours along the inner axis.

    Returns
    -------
    int
        Number of blocks; 0 if there are no tokens.

    Raises
    ------
    ValueError
        If there are more blocks than a launch may have.
    """
    tokens.groups = -(-tokens.inner // together)
    blocks = int(tokens.outer * tokens.groups)
    if blocks > MAX_BLOCKS:
        msg = (
            f"position_ids: expected tokens for at most {MAX_BLOCKS} blocks of {together}; got "
            f"{tokens.outer * tokens.inner} tokens; split the call"
        )
        raise ValueError(msg)
    return blocks


def plan_cos_sin(
    position_ids: View, spectrum: AnySpectrum, cos: View, sin: View, *, angles: str
) -> Plan:
    """Plan tables of cosines and sines.

    Parameters
    ----------
    position_ids : View
        Integers of any shape.
    spectrum : Spectrum or DeviceSpectrum
        The frequencies.
    cos, sin : View
        Where the tables go: compact, shape (..., d/2).
    angles : {"exact", "float32"}
        The angle pipeline.

    Returns
    -------
    Plan
        What to launch.
    """
    numbers = parameters.Numbers.of(spectrum, angles, cos.dtype)
    structure = parameters.cos_sin_table(numbers)()
    structure.cos, structure.sin = cos.pointer, sin.pointer
    macros: Macros = {"FORMAT": FORMATS[cos.dtype]}
    return _plan_table("cos_sin_table", macros, structure, position_ids, spectrum, numbers)


def plan_phases(position_ids: View, spectrum: AnySpectrum, phases: View) -> Plan:
    """Plan a table of exact phases.

    Parameters
    ----------
    position_ids : View
        Integers of any shape.
    spectrum : Spectrum or DeviceSpectrum
        The frequencies.
    phases : View
        Where the table goes: compact, uint64, shape (..., d/2).

    Returns
    -------
    Plan
        What to launch.
    """
    numbers = parameters.Numbers.of(spectrum, "exact", "float64")
    structure = parameters.phases(numbers)()
    structure.phases = phases.pointer
    return _plan_table("phases", {}, structure, position_ids, spectrum, numbers)


def _plan_table(
    kernel: str,
    macros: Macros,
    structure: Any,
    position_ids: View,
    spectrum: AnySpectrum,
    numbers: parameters.Numbers,
) -> Plan:
    several = int(numbers.axes > 1)
    tokens = position_ids.shape[several:]
    strides = broadcast_strides(position_ids, tokens, skip=several)
    (outer, inner), (row,) = walk(tokens, [strides], reorder=False)
    structure.grid = parameters.TokenGrid(outer, inner)
    structure.positions = parameters.positions(position_ids, row, numbers.axes)
    parameters.fill_spectrum(structure, spectrum, numbers, inverse=False)
    macros = macros | numbers.macros | {"POSITION": parameters.INTEGER_TYPES[position_ids.dtype]}
    across = min(numbers.pairs, MAX_THREADS)
    together = min(MAX_THREADS // across, MAX_TOKENS)
    return Plan(
        specialise(kernel, macros, structure),
        (grid_of(structure.grid, together), 1, 1),
        (across, 1, together),
        structure,
    )

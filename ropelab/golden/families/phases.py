"""Phases, and tables of cosines and sines, on the grid where implementations break."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from .. import tolerances
from ..case import DTYPES, Case
from ..inputs import GRID, positions
from .common import ANGLES, EVERYWHERE, inv_freq_of

__all__ = ["cases"]

# The small ropes of the first freeze; later rules differ in frequencies alone.
_ROPES = ("default", "linear", "ntk_alpha", "dynamic", "llama3", "partial")


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        Phases, then tables.
    """
    yield from _phases()
    yield from _cos_sin()


def _phases() -> Iterator[Case]:
    for name in _ROPES:
        for form, flags in (
            ("grid", EVERYWHERE),
            ("negative", ("LargeAngle",)),
            ("uint8", ("PositionValues",)),
        ):
            ids = positions(form, 1, len(GRID))
            arrays = {"position_ids": ids, "inv_freq": inv_freq_of(name)}
            bound = tolerances.equal()
            yield Case(f"phases/{name}/{form}", "exact_phases", arrays, {}, bound, flags)


def _cos_sin() -> Iterator[Case]:
    ropes = ("default", "llama3")
    for name, angles, dtype, factor in product(ropes, ANGLES, DTYPES, (1.0, 1.1386294361119891)):
        arrays = {"position_ids": positions("grid", 1, len(GRID)), "inv_freq": inv_freq_of(name)}
        options = {"angles": angles, "dtype": dtype, "attention_factor": factor}
        scaled = "" if factor == 1.0 else "/scaled"
        flags = EVERYWHERE if factor == 1.0 else ("Amplitude",)
        bound = tolerances.pair(dtype, angles, GRID[-1])
        yield Case(
            f"cos_sin/{name}/{angles}/{dtype}{scaled}", "cos_sin", arrays, options, bound, flags
        )

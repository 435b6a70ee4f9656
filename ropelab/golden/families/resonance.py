"""Spectra with periods, whose angles repeat bit for bit, and one in which most pairs stand still.

A rotation repeats with its pair's period however far the position; an implementation that turns
by the frequency alone drifts away from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from .. import tolerances
from ..cards import SMALL
from ..case import DTYPES, Array, Case
from ..inputs import GRID, positions
from ..operations import attest
from .common import ANGLES, EVERYWHERE, LAYOUTS, inv_freq_of, spectrum_case
from .rotation import rotation

__all__ = ["cases"]

_ROPE = "resonance"
# The first pair of the small rope repeats after 6 tokens.
_MULTIPLES = (0, 6, 12, 6 * 21845, 6 * 2796203, 6 * 357913941, -6 * 357913941)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        Phases, tables, then rotations.
    """
    yield from _phases()
    yield from _tables()
    yield from _rotations()


def _periods() -> Array:
    return attest(spectrum_case(_ROPE, SMALL[_ROPE], None))["periods"]


def _phases() -> Iterator[Case]:
    numbers = {"inv_freq": inv_freq_of(_ROPE), "periods": _periods()}
    for form, ids in (
        ("grid", positions("grid", 1, len(GRID))),
        ("negative", positions("negative", 1, len(GRID))),
        ("uint8", positions("uint8", 1, len(GRID))),
        ("multiples", np.array(_MULTIPLES, np.int64)),
        ("uint64", np.array([0, 5, 2**63 + 1, 2**64 - 1], np.uint64)),
    ):
        arrays = {"position_ids": ids, **numbers}
        flags = ("LargeAngle", "FrequencyRule")
        yield Case(
            f"phases/resonance/{form}", "exact_phases", arrays, {}, tolerances.equal(), flags
        )


def _tables() -> Iterator[Case]:
    arrays = {
        "position_ids": positions("grid", 1, len(GRID)),
        "inv_freq": inv_freq_of(_ROPE),
        "periods": _periods(),
    }
    farthest = int(_periods().max())  # positions are taken within a period
    for angles, dtype in product(ANGLES, ("float64", "float32")):
        options = {"angles": angles, "dtype": dtype, "attention_factor": 1.0}
        bound = tolerances.pair(dtype, angles, farthest)
        path = f"cos_sin/resonance/{angles}/{dtype}"
        yield Case(path, "cos_sin", arrays, options, bound, EVERYWHERE)


def _rotations() -> Iterator[Case]:
    extra = {"periods": _periods()}
    for layout, dtype in product(LAYOUTS, DTYPES):
        path, flags = f"rotary/resonance/{layout}", ("LargeAngle", "FrequencyRule")
        options: dict[str, Any] = {
            "rope": _ROPE,
            "layout": layout,
            "shape": (1, 17, 2),
            "form": "grid",
        }
        yield rotation(path, dtype, flags=flags, arrays=extra, **options)
        # Four of sixteen channels turn, two in each half of the head.
        path, flags = f"rotary/proportional/{layout}", ("PartialWidth", "Pairing")
        yield rotation(path, dtype, flags=flags, rope="proportional", layout=layout)

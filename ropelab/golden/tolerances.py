"""The error model: every bound, with its reason. Units are eps of a format, a pair's norm.

A correctly rounded answer and the golden can still differ by one unit in the last place where the
unrounded number lies near a tie; that is one eps of the pair at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..float8 import LARGEST
from .cards import TOLERANCES
from .case import Tolerance

__all__ = ["equal", "frequencies", "pair", "pair_through_frequencies"]


def equal() -> Tolerance:
    """Return the tolerance of integers and moved bits."""
    return Tolerance("equal", 0.0, "float64", "integers, or bits that are moved: no rounding")


def frequencies(rope_type: str) -> Tolerance:
    """Return the tolerance of a rule's frequencies, in ulp of float64."""
    if rope_type not in TOLERANCES:
        msg = f"{rope_type}: say beside its cards how near its frequencies come, and why"
        raise ValueError(msg)
    bound, why = TOLERANCES[rope_type]
    return Tolerance("ulp", bound, "float64", why)


def pair(dtype: str, angles: str, farthest: int = 0, *, scaled: bool = False) -> Tolerance:
    """Return the tolerance of a rotated tensor, or of cos and sin, of a format.

    Parameters
    ----------
    dtype : str
        Format of the result.
    angles : {"exact", "float32"}
        The pipeline.
    farthest : int
        The largest distance of a position from 0, in tokens; matters to float64 alone.
    scaled : bool, default False
        Whether the result is divided by a scale.

    Returns
    -------
    Tolerance
        With its reason.
    """
    if scaled and dtype in ("float64", "float32"):
        plain = pair(dtype, angles, farthest)
        why = f"{plain.why}; the inverse of the scale 0.5, the product with it 0.5"
        return replace(plain, bound=plain.bound + 1.0, why=why)
    if dtype in LARGEST:
        why = (
            "one eps for the last rounding near a tie, which float32 arithmetic before it finds in "
            "one element of a thousand at most; no subnormal number of these lies near one"
        )
        return Tolerance("pair", 1.01, dtype, why, differing=0.01)
    if dtype in ("float16", "bfloat16"):
        why = (
            "one eps for the last rounding near a tie; float32 arithmetic before it adds less "
            "than 4 eps of float32, under 0.01 eps of float16, and moves fewer than one element in "
            "twenty across a tie"
        )
        return Tolerance("pair", 1.01, dtype, why, differing=0.05)
    if angles == "float32":
        why = (
            "float32 cos and sin within 2 ulp (2 eps), the product with the attention factor 0.5, "
            "pair arithmetic 0.5, the last rounding near a tie 1"
        )
        return Tolerance("pair", 4.0, "float32", why)
    why = (
        "reduced angle within 0.6 eps, cos and sin within 1 ulp after it, pair arithmetic 0.5, the "
        "last rounding near a tie 1"
    )
    if dtype == "float32":
        return Tolerance("pair", 3.0, dtype, why)
    # Turns are rounded to 2**-65 of a turn, which float64 alone can see.
    drift = farthest * 2.0 * math.pi * 2.0**-65
    why += f"; and {drift:.3g} radians from turns of 64 bits at the farthest position"
    return Tolerance("pair", float(f"{3.0 + drift / 2.0**-52:.4g}"), dtype, why)


def pair_through_frequencies(
    dtype: str, angles: str, positions: Sequence[int], fastest: float
) -> Tolerance:
    """Return the tolerance of a rotation whose frequencies the implementation computed itself.

    Parameters
    ----------
    dtype, angles : str
        As in `pair`.
    positions : sequence of int
        All positions of the case.
    fastest : float
        The largest frequency, radians per token.

    Returns
    -------
    Tolerance
        With its reason.
    """
    own = pair(dtype, angles, max(abs(m) for m in positions))
    eps = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
    slip = max(abs(m) for m in positions) * fastest  # the largest angle, radians
    # Frequencies within 2 ulp of float64; rounded to float32 they may part by an ulp of that.
    slack, cause = (
        (2.0**-51, "2 ulp of float64") if angles == "exact" else (2.0**-23, "1 of float32")
    )
    drift = slip * slack
    why = f"{own.why}; and {drift:.3g} radians from frequencies within {cause}"
    bound = float(f"{own.bound + drift / eps[own.unit]:.4g}")
    return replace(own, bound=bound, why=why)

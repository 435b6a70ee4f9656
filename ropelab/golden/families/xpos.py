"""Queries and keys that are rotated and scaled by xPos, around several centres."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ...precision import narrow, widen
from ..case import DTYPES, Case, Tolerance
from ..inputs import splitmix64
from .common import ANGLES, LAYOUTS
from .rotation import rotation

__all__ = ["cases"]

# In powers of the decay, at most 2/7 each: where float16 still holds queries as normal numbers,
# where the other formats do, and where float64 does.
_NEAR, _FAR, _FARTHEST = 4, 40, 550

# A decay below 2**-160, which float32 does not hold, where it holds what it makes of a query times
# 2**100, and of a key over that.
_BEYOND_FLOAT32, _STRETCH = 95, 100


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By layout, pipeline and dtype, then what else may vary.
    """
    for layout, dtype, angles in product(LAYOUTS, DTYPES, ANGLES):
        yield _case(f"xpos/{layout}/{angles}", dtype, layout=layout, angles=angles)
    for dtype in DTYPES:
        for name, centre in (("before", -1500), ("after", 2049)):
            yield _case(f"xpos/centre-{name}", dtype, centre=centre)
        yield _case("xpos/base-300", dtype, scale_base=300.5)
        yield _case("xpos/partial", dtype, rope="partial", factor=1.2772588722239781)
        yield _case("xpos/thd", dtype, shape=(6, 2), tensor_format="thd")
        yield _case("xpos/sbhd", dtype, tensor_format="sbhd", centre=7)
        if dtype != "float16":
            yield _case("xpos/far", dtype, reach=_FAR, centre=100_003)
    yield from _transposes()
    yield from _extremes()
    yield from _stored()


def _transposes() -> Iterator[Case]:
    """Yield what the backward pass asks."""
    for layout, dtype in product(LAYOUTS, DTYPES):
        yield _case(f"xpos/inverse/{layout}", dtype, layout=layout, inverse=True, centre=300)
    yield _case("xpos/inverse/float32-angles", "float32", angles="float32", inverse=True)
    yield _case("xpos/inverse/thd", "bfloat16", shape=(6, 2), tensor_format="thd", inverse=True)


def _extremes() -> Iterator[Case]:
    """Yield late positions around a late centre, and scales that few formats hold."""
    for dtype in ("float32", "float16", "bfloat16"):  # turns of 64 bits are too coarse for float64
        yield _case("xpos/late", dtype, centre=2**33 + 777)  # beyond 32 bits
    for name, inverse in (("farthest", False), ("farthest-inverse", True)):
        yield _case(f"xpos/{name}", "float64", reach=_FARTHEST, inverse=inverse)
    for dtype in ("float32", "bfloat16"):
        yield _beyond_float32(dtype)


def _stored() -> Iterator[Case]:
    """Yield results in another format, and over a scale for queries and one for keys."""
    yield _case("xpos/stored/float32", "bfloat16", stored="float32", layout="interleaved")
    told: dict[str, Any] = {"stored": "float8_e5m2", "scale": [0.36787944117144233, 0.011]}
    yield _case("xpos/stored/float8_e5m2", "float32", centre=300, **told)
    told = {"stored": "float8_e4m3fn", "scale": [0.25, 2.0], "rope": "partial", "reach": 1}
    yield _case("xpos/stored/float8_e4m3fn", "float16", **told)


def _beyond_float32(dtype: str) -> Case:
    """Return a case whose scales leave float32's range, but not what they multiply."""
    case = _case("xpos/beyond-float32", dtype)
    ids = np.array([[512 * _BEYOND_FLOAT32 + n * n for n in range(s, s + 3)] for s in (0, 17)])
    arrays = {**case.arguments, "position_ids": ids}
    for name, power in (("q", _STRETCH), ("k", -_STRETCH)):
        arrays[name] = narrow(np.ldexp(widen(arrays[name]), power), arrays[name].dtype)
    return replace(case, arguments=arrays)


def _case(
    path: str,
    dtype: str,
    *,
    scale_base: float = 512.0,
    centre: int = 0,
    reach: int = _NEAR,
    **told: Any,
) -> Case:
    """Return an xPos case: the rotation of the same arguments, with its scale."""
    shape = told.setdefault("shape", (2, 3, 2))
    size = (shape[0], shape[1]) if len(shape) == 3 else (shape[0],)
    words = splitmix64(11, int(np.prod(size)))
    away = int(reach * scale_base)
    ids = np.array([centre - away + word % (2 * away) for word in words], np.int64).reshape(size)
    case = rotation(
        path, dtype, flags=("Amplitude", "Offset"), heads_k=1, arrays={"position_ids": ids}, **told
    )
    # The direction is named where it is the other one alone: older cases do not name it.
    options = {key: value for key, value in case.options.items() if key != "inverse" or value}
    options |= {"scale_base": scale_base, "centre": centre}
    farthest = float(np.abs(ids - centre).max()) / scale_base
    return replace(
        case, op="apply_xpos_qk", options=options, tolerance=_bound(case.tolerance, farthest)
    )


def _bound(rotated: Tolerance, exponent: float) -> Tolerance:
    """Widen the bound of a rotation by what a power of the given exponent adds."""
    if rotated.unit != "float64":
        why = f"{rotated.why}; the scale, a float64, adds less than 1e-7 of that"
        return replace(rotated, why=why)
    # The base's rounding is multiplied by the exponent, the exponent's by ln(3.5) < 1.26.
    extra = 1.5 + exponent * (0.5 + 0.63)
    why = (
        f"{rotated.why}; a power within an ulp and its product with cos and sin 1.5, and its base "
        f"and exponent, half an ulp each, to the {exponent:.3g}th power {extra - 1.5:.3g}"
    )
    return replace(rotated, bound=float(f"{rotated.bound + extra:.4g}"), why=why)

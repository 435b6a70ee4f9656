"""Differences of arithmetic: what formats and orders of operations cost on the way to an angle."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ropelab import Rope
from ropelab.precision import float_dtype, narrow, widen
from ropelab.scaling.power import power

__all__ = ["ROUNDINGS", "Rounding"]


class Rounding(NamedTuple):
    """A difference of arithmetic, as one number with a unit."""

    what: str
    who: str
    unit: str
    compute: Callable[[], float]


def _angles(base: float, positions: NDArray[Any]) -> NDArray[np.float64]:
    inv_freq = Rope(128, base=base).spectrum().inv_freq
    return np.asarray(positions[:, np.newaxis] * inv_freq, np.float64)


def _kept_in(dtype: str, values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(widen(narrow(values, float_dtype(dtype))), np.float64)


def _raw_angles(dtype: str, base: float, last: int) -> float:
    """Return the largest error of angles kept in a format, of positions up to the last."""
    angles = _angles(base, np.arange(last + 1, dtype=np.float64))
    return float(np.abs(_kept_in(dtype, angles) - angles).max())


def _positions(dtype: str, last: int) -> float:
    """Return the largest error of positions kept in a format, up to the last."""
    positions = np.arange(last + 1, dtype=np.float64)
    return float(np.abs(_kept_in(dtype, positions) - positions).max())


def _tables(dtype: str) -> float:
    """Return the largest error of cosines kept in a format."""
    cosines = np.cos(_angles(1e4, np.arange(4096.0)))
    return float(np.abs(_kept_in(dtype, cosines) - cosines).max())


def _product(base: float, position: int) -> float:
    """Return the largest error of frequency and product in float32."""
    inv_freq = Rope(128, base=base).spectrum().inv_freq
    product = inv_freq.astype(np.float32) * np.float32(position)
    return float(np.abs(product.astype(np.float64) - inv_freq * position).max())


def _running_product(base: float, position: int) -> float:
    """Return the largest error of llama.cpp's angles, each the last times one float32."""
    scale = np.float32(power(base, Fraction(-2, 128)))
    theta, worst = np.float32(position), 0.0
    for speed in Rope(128, base=base).spectrum().inv_freq:
        worst = max(worst, abs(float(theta) - speed * position))
        theta = np.float32(theta * scale)
    return worst


def _reciprocal(factor: int) -> float:
    """Return the largest difference of m * (1 / s) and m / s in float32, below 131072."""
    positions = np.arange(131072, dtype=np.float32)
    return float(
        np.abs(positions * np.float32(1.0 / factor) - positions / np.float32(factor)).max()
    )


ROUNDINGS = [
    Rounding(
        "Angles in float32, base 10000, position 4095", "most", "rad", lambda: _product(1e4, 4095)
    ),
    Rounding(
        "Angles in float32, base 500000, position 131071",
        "most",
        "rad",
        lambda: _product(5e5, 131071),
    ),
    Rounding(
        "Angles by a running product, base 10000, position 4095",
        "llama.cpp, CPU",
        "rad",
        lambda: _running_product(1e4, 4095),
    ),
    Rounding(
        "Angles by a running product, base 500000, position 131071",
        "llama.cpp, CPU",
        "rad",
        lambda: _running_product(5e5, 131071),
    ),
    Rounding(
        "Angles kept in bfloat16, base 10000, positions to 4095",
        "NeMo, fused",
        "rad",
        lambda: _raw_angles("bfloat16", 1e4, 4095),
    ),
    Rounding(
        "Positions in bfloat16, to 4096",
        "rotalabs-accel, Transformer Engine after a cast",
        "tokens",
        lambda: _positions("bfloat16", 4096),
    ),
    Rounding(
        "Positions in float16, to 65504",
        "rotalabs-accel",
        "tokens",
        lambda: _positions("float16", 65504),
    ),
    Rounding("Cosines in bfloat16", "most", "of 1", lambda: _tables("bfloat16")),
    Rounding("Cosines in float16", "ExLlamaV2", "of 1", lambda: _tables("float16")),
    Rounding(
        "Positions times 1/3 instead of divided by 3, in float32, below 131072",
        "Transformer Engine, Megatron",
        "tokens",
        lambda: _reciprocal(3),
    ),
]

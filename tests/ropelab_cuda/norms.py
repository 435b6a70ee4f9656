"""What the tests of norms share: arguments, and the measure of their results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.layouts import pair_channels
from ropelab.precision import eps, narrow, widen

__all__ = [
    "BOUNDS",
    "DTYPES",
    "LAYOUTS",
    "Array",
    "fused",
    "fused_",
    "random",
    "specified",
    "spectrum",
    "weights_of",
    "worst",
]

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYOUTS = ("half", "interleaved")
# eps of the output that a pair may err: what a rotation may, and for float32 and float64 what
# the goldens of norms allow beside it.
BOUNDS = {"float64": 9.0, "float32": 9.0, "float16": 1.01, "bfloat16": 1.01}

Array = NDArray[Any]
# Their arguments come in tuples of many kinds, of which the types say nothing.
specified: Any = ropelab.apply_norm_rotary_qk
fused: Any = ropelab_cuda.apply_norm_rotary_qk
fused_: Any = ropelab_cuda.apply_norm_rotary_qk_


def random(*shape: int, dtype: str, seed: int = 0) -> Array:
    return narrow(np.random.default_rng(seed).standard_normal(shape), dtype)


def spectrum(rotary_dim: int, **options: Any) -> ropelab.Spectrum:
    return ropelab.Spectrum(1e4 ** (-np.arange(0, rotary_dim, 2) / rotary_dim), **options)


def worst(actual: Array, expected: Array, layout: str, rotary_dim: int, first: int = 0) -> float:
    """Return the worst error, in eps, of a rotated pair over its norm or of another channel."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    got, want = widen(actual), widen(expected)
    turned = slice(first, first + rotary_dim)
    a, b, x, y = (
        side[..., turned][..., channels]
        for side in (got, want)
        for channels in pair_channels(layout, rotary_dim)
    )
    errors = [np.hypot(a - x, b - y) / np.hypot(x, y)]
    others = np.ones(got.shape[-1], bool)
    others[turned] = False
    errors.append(np.abs(got - want)[..., others] / np.abs(want)[..., others])
    largest = max(float(error.max(initial=0.0)) for error in errors)
    assert np.isfinite(largest)
    return largest / eps(expected.dtype)


def weights_of(heads: int, head_dim: int, dtype: str, across: bool, seed: int) -> Array:
    return random(*((heads, head_dim) if across else (head_dim,)), dtype=dtype, seed=seed)

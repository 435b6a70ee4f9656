"""How far an answer lies from its golden: one number a case, and it is never NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layouts import pair_channels
from ..precision import eps, widen
from .case import Array, Case, bits_of, dtype_name

__all__ = ["differing", "distance", "output_pairs", "rotary_dim"]

_NORMED = frozenset({"apply_norm_rotary_qk"})  # what changes channels that are not rotated too


_CACHING = frozenset({"apply_rotary_kv_cache"})  # what writes into memory that it is given


def distance(case: Case, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    """Return the worst error of an answer, in the units of the case's tolerance.

    Parameters
    ----------
    case : Case
        The question, with its metric.
    expected, actual : mapping of str to ndarray
        Golden and answer.

    Returns
    -------
    float
        Infinite if an array is missing or has another shape or dtype, if a number is not finite
        where it should be, or if a bit moved that nothing may touch.
    """
    if expected.keys() != actual.keys():
        return math.inf
    for name, golden in expected.items():
        if golden.shape != actual[name].shape or golden.dtype != actual[name].dtype:
            return math.inf
    if case.tolerance.metric == "pair":
        return _pairs(case, expected, actual)
    measure = _ulps if case.tolerance.metric == "ulp" else _equal
    return max(measure(golden, actual[name]) for name, golden in expected.items())


def differing(case: Case, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    """Return the largest part of an array's elements that differ from the golden at all.

    Parameters
    ----------
    case : Case
        The question; 0 is returned unless its tolerance limits this part.
    expected, actual : mapping of str to ndarray
        Golden and answer, of the same names, shapes and dtypes.

    Returns
    -------
    float
        From 0 to 1.
    """
    if case.tolerance.differing == 1.0:
        return 0.0
    pairs = ((widen(golden), widen(actual[name])) for name, golden in expected.items())
    return max(float(np.mean(golden != answer)) for golden, answer in pairs)


def rotary_dim(case: Case) -> int:
    """Return the number of channels that a rotation case turns."""
    if "rope" in case.options:
        return int(case.options["rope"]["rotary_dim"])
    source = "inv_freq" if "inv_freq" in case.arguments else "cos"
    columns = int(case.arguments[source].shape[-1])
    return columns if case.options.get("repeated", False) else 2 * columns


def output_pairs(case: Case) -> tuple[slice, tuple[slice, slice]]:
    """Return the rotated channels of a rotation case's answer, and within them both members."""
    d, options = rotary_dim(case), case.options
    first, layout = options.get("rotary_offset", 0), options["layout"]
    if not options.get("inverse", False):  # else the pairs go back from output_layout to layout
        layout = options.get("output_layout") or layout
    return slice(first, first + d), pair_channels(layout, d)


def _equal(golden: Array, answer: Array) -> float:
    return 0.0 if np.array_equal(bits_of(golden), bits_of(answer)) else math.inf


def _ulps(golden: Array, answer: Array) -> float:
    if golden.dtype != np.float64:
        return _equal(golden, answer)
    error = np.abs(answer - golden) / np.spacing(np.abs(golden))
    return _worst(error)


def _pairs(case: Case, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> float:
    if "cos" in expected:
        names = ("cos", "sin")
        golden, answer = ([widen(side[name]) for name in names] for side in (expected, actual))
        return _relative(golden, answer) / eps(case.tolerance.unit)
    rotated, members = output_pairs(case)
    worst = 0.0
    if case.op in _CACHING:
        if _strays(case, expected, actual):
            return math.inf
        expected, actual = (
            {name: side[name] for name in ("q", "k_cache")} for side in (expected, actual)
        )
    for name, whole in expected.items():
        around = (slice(0, rotated.start), slice(rotated.stop, None))
        moved = _alone if case.op in _NORMED else _equal  # else they must keep their bits
        for part in around:
            worst = max(worst, moved(whole[..., part], actual[name][..., part]))
        sides = (widen(side[..., rotated]) for side in (whole, actual[name]))
        golden, answer = ([side[..., member] for member in members] for side in sides)
        # What is kept in a format of its own is measured by it.
        dtype = dtype_name(whole.dtype)
        unit = case.tolerance.unit if dtype == case.dtype else dtype
        worst = max(worst, _relative(golden, answer) / eps(unit))
    return worst


def _strays(case: Case, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> bool:
    """Say whether a row of a cache that is nobody's has changed, or a value is not the golden's."""
    free = (bits_of(case.arguments["k_cache"]) == bits_of(expected["k_cache"])).all(axis=(2, 3))
    kept = (side["k_cache"][free] for side in (expected, actual))
    return bool(_equal(*kept) or _equal(expected["v_cache"], actual["v_cache"]))


def _alone(golden: Array, answer: Array) -> float:
    """Return the largest error of a channel over its size."""
    nothing = np.zeros(golden.shape)
    sides = [[widen(side), nothing] for side in (golden, answer)]
    return _relative(*sides)


def _relative(golden: list[NDArray[Any]], answer: list[NDArray[Any]]) -> float:
    """Return the largest error of a pair over the pair's norm."""
    error = np.hypot(answer[0] - golden[0], answer[1] - golden[1])
    norm = np.hypot(golden[0], golden[1])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = np.where(error == 0.0, 0.0, error / norm)
    return _worst(ratio)


def _worst(errors: NDArray[Any]) -> float:
    if errors.size == 0:
        return 0.0
    return math.inf if np.isnan(errors).any() else float(errors.max())

"""Rotations of any shape, strides and positions, each checked against the specification.

Tensors are views into memory that is NaN in every other place, and so are outputs before the call:
what a kernel leaves out is NaN, what it writes beyond is no longer, and what it reads beyond
poisons a result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ropelab
import ropelab_cuda
from ropelab.golden.case import Array
from ropelab.layouts import pair_channels
from ropelab.precision import eps, stored_dtype, widen
from tests.fuzz_cases import Case, positions_of, spectrum_of, tables_of
from tests.fuzz_memory import Device, Tensors

__all__ = ["BOUNDS", "unit_of", "worst_error"]

# Errors of a pair over its norm, in eps of the dtype, against the specification in float64. The
# narrow formats round once, by half an eps, and float32 adds its own noise. float32 has no wider
# format to compute in: cos and sin to two ulp at most, and two roundings. Nor has float64, in which
# the specification itself rounds as well.
BOUNDS = {
    **dict.fromkeys(("float8_e5m2", "float8_e4m3fn", "bfloat16", "float16"), 0.51),
    "float32": 2.0,
    "float64": 3.0,
}


def unit_of(case: Case) -> str:
    """Return the format in whose eps a case's errors count: of the results or of the arithmetic."""
    arithmetic = "float64" if case.kind.dtype == "float64" else "float32"
    return max(case.output, arithmetic, key=eps)


def worst_error(case: Case, device: Device) -> float:
    """Run a case; return its worst error of a pair, in eps, or raise AssertionError."""
    tensors = Tensors.of(case, device)
    call, expected = _call(case, tensors), _expected(case, tensors.values)
    answers = call()
    worst = 0.0
    for before, after, want in zip(tensors.values, tensors.results(answers), expected, strict=True):
        worst = max(worst, _error(case, before, after, want))
    tensors.check_outside(answers)
    if case.way == "new":  # and once more, by the plan that was just made
        for one, other in zip(tensors.results(call()), tensors.results(answers), strict=True):
            assert one.tobytes() == other.tobytes(), "a second call gave something else"
    return worst


def _call(case: Case, tensors: Any) -> Any:
    kind = case.kind
    options = _options(case) | case.storage
    name = "apply_rotary" if len(tensors.inputs) == 1 else "apply_rotary_qk"
    given: tuple[Any, ...] = (tensors.positions, tensors.spectrum)
    if kind.table_dtype is None:
        options["angles"] = kind.angles
    else:
        name, given = "apply_rotary_cached", tensors.tables
    if case.way == "in place":
        name += "_"
    if case.way == "out":
        options["out"] = tensors.outs if len(tensors.outs) > 1 else tensors.outs[0]

    def call() -> tuple[Any, ...]:
        answers = getattr(ropelab_cuda, name)(*tensors.inputs, *given, **options)
        return answers if isinstance(answers, tuple) else (answers,)

    return call


def _options(case: Case) -> dict[str, Any]:
    return {
        "layout": case.kind.layout,
        "output_layout": case.kind.output_layout,
        "rotary_offset": case.kind.widths[2],
        "tensor_format": case.tensor_format,
        "inverse": case.inverse,
    }


def _expected(case: Case, values: Any) -> list[Array]:
    """Return the rotations in float64, over the scale, not rounded to the dtype."""
    kind = case.kind
    options = _options(case)
    if "scale" in case.storage:
        options["scale"] = case.scale
    ids, spectrum = positions_of(case), spectrum_of(case)
    if kind.table_dtype is None:
        return [
            ropelab.apply_rotary(widen(x), ids, spectrum, angles=kind.angles, **options)
            for x in values
        ]
    cos, sin = tables_of(case)
    return [ropelab.apply_rotary_cached(widen(x), cos, sin, **options) for x in values]


def _error(case: Case, before: Array, after: Array, want: Array) -> float:
    kind, (_, d, offset) = case.kind, case.kind.widths
    assert after.shape == before.shape
    assert after.dtype == stored_dtype(case.output)
    unit = eps(unit_of(case))
    got = widen(after)
    assert not np.isnan(got).any(), "NaN: not written, or read from outside"
    for part in (slice(0, offset), slice(offset + d, None)):
        passed, true = got[..., part], want[..., part]
        if case.storage:  # converted, as the others are
            passes = np.abs(passed - true) <= BOUNDS[unit_of(case)] * unit * np.abs(true)
            assert passes.all(), "channels that pass"
        else:
            same = after[..., part].tobytes() == before[..., part].tobytes()
            assert same, "channels that pass"
    first, second = pair_channels(kind.layout if case.inverse else kind.output_layout, d)
    got, want = (side[..., offset : offset + d] for side in (got, want))
    error = np.hypot(got[..., first] - want[..., first], got[..., second] - want[..., second])
    norm = np.hypot(want[..., first], want[..., second])
    if kind.table_dtype is not None:  # a table has any norm, that of zero too
        norm = np.maximum(1.0 / case.storage.get("scale", 1.0), norm)
    return float((error / norm).max(initial=0.0)) / unit

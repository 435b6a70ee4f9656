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
from ropelab.precision import eps, widen
from tests.fuzz_cases import Case, Kind, positions_of, spectrum_of, tables_of
from tests.fuzz_memory import Device, Tensors

__all__ = ["BOUNDS", "worst_error"]

# Errors of a pair over its norm, in eps of the dtype, against the specification in float64. The
# narrow formats round once, by half an eps, and float32 adds its own noise. float32 has no wider
# format to compute in: cos and sin to two ulp at most, and two roundings. Nor has float64, in which
# the specification itself rounds as well.
BOUNDS = {"bfloat16": 0.51, "float16": 0.51, "float32": 2.0, "float64": 3.0}


def worst_error(case: Case, device: Device) -> float:
    """Run a case; return its worst error of a pair, in eps, or raise AssertionError."""
    kind = case.kind
    tensors = Tensors.of(case, device)
    call, expected = _call(case, tensors), _expected(case, tensors.values)
    answers = call()
    worst = 0.0
    for before, after, want in zip(tensors.values, tensors.results(answers), expected, strict=True):
        worst = max(worst, _error(kind, case.inverse, before, after, want))
    tensors.check_outside(answers)
    if case.way == "new":  # and once more, by the plan that was just made
        for one, other in zip(tensors.results(call()), tensors.results(answers), strict=True):
            assert one.tobytes() == other.tobytes(), "a second call gave something else"
    return worst


def _call(case: Case, tensors: Any) -> Any:
    kind = case.kind
    options: dict[str, Any] = {
        "layout": kind.layout,
        "output_layout": kind.output_layout,
        "rotary_offset": kind.widths[2],
        "tensor_format": case.tensor_format,
        "inverse": case.inverse,
    }
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


def _expected(case: Case, values: Any) -> list[Array]:
    """Return the rotations in float64, not rounded to the dtype."""
    kind = case.kind
    options: dict[str, Any] = {
        "layout": kind.layout,
        "output_layout": kind.output_layout,
        "rotary_offset": kind.widths[2],
        "tensor_format": case.tensor_format,
        "inverse": case.inverse,
    }
    ids, spectrum = positions_of(case), spectrum_of(case)
    if kind.table_dtype is None:
        return [
            ropelab.apply_rotary(widen(x), ids, spectrum, angles=kind.angles, **options)
            for x in values
        ]
    cos, sin = tables_of(case)
    return [ropelab.apply_rotary_cached(widen(x), cos, sin, **options) for x in values]


def _error(kind: Kind, inverse: bool, before: Array, after: Array, want: Array) -> float:
    _, d, offset = kind.widths
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    for part in (slice(0, offset), slice(offset + d, None)):
        assert after[..., part].tobytes() == before[..., part].tobytes(), "channels that pass"
    first, second = pair_channels(kind.layout if inverse else kind.output_layout, d)
    got, true = (side[..., offset : offset + d] for side in (widen(after), want))
    error = np.hypot(got[..., first] - true[..., first], got[..., second] - true[..., second])
    if kind.table_dtype is None:  # else the table may have any norm, but not that of zero
        error /= np.hypot(true[..., first], true[..., second])
    else:
        error /= np.maximum(1.0, np.hypot(true[..., first], true[..., second]))
    assert not np.isnan(error).any(), "NaN: not written, or read from outside"
    return float(error.max(initial=0.0)) / eps(kind.dtype)

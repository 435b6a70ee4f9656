"""Which goldens ask for a kernel, and how those of given tables are asked of a pair of tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ropelab.checks import TENSOR_FORMATS
from ropelab.golden import Golden, Implementation, load
from ropelab.golden.case import Array

OPERATIONS = {
    *("apply_rotary", "apply_rotary_qk", "apply_rotary_cached", "apply_rotary_kv_cache"),
    *("apply_norm_rotary_qk", "apply_xpos_qk", "to_half", "to_interleaved"),
    *("cos_sin", "exact_phases", "model"),
}


def asked_of_kernels() -> list[Golden]:
    """Return every golden, refusals included, that the kernels must reproduce."""
    return [
        golden
        for golden in load()
        if {golden.case.op, golden.case.options.get("call")} & OPERATIONS
        and not (_is_refused_by_kernels(golden) or _depends_on_values(golden))
    ]


def _is_refused_by_kernels(golden: Golden) -> bool:
    """Say whether positions are uint64, which kernels refuse, or channels not the last axis."""
    positions = golden.case.arguments.get("position_ids")
    of_another_axis = golden.case.options.get("axis", -1) != -1
    return of_another_axis or (positions is not None and positions.dtype == np.uint64)


# What these refuse needs values, which lie on the device: tests of the kernels say what they do.
_BY_VALUES = (
    *("refused/kv-slot-past-the-cache", "refused/kv-slot-of-two-tokens"),
    *("refused/position-values/", "refused/xpos-too-far"),
)


def _depends_on_values(golden: Golden) -> bool:
    """Say whether a refusal needs values that lie on the device."""
    return golden.case.id.startswith(_BY_VALUES)


def of_given_tables() -> list[Golden]:
    """Return every golden of one tensor that is rotated by given tables."""
    return [golden for golden in asked_of_kernels() if golden.case.op == "apply_rotary_cached"]


def in_pairs(asked: Implementation) -> Implementation:
    """Let one tensor be rotated by tables as queries, beside keys that have its heads, too."""

    def rotated(x: Array, *tables: Array, tensor_format: str, **options: Any) -> Array:
        axis = TENSOR_FORMATS[tensor_format].head_axis
        order = [*reversed(range(x.shape[axis])), 0]  # one more, so that their numbers differ
        given = (x, np.take(x, order, axis), *tables)
        q, k = asked.apply_rotary_cached_qk(*given, tensor_format=tensor_format, **options)
        # A head turns alike among both, so that the goldens, which say of one, say of both.
        assert k.tobytes() == np.take(q, order, axis).tobytes()
        return q

    return replace(asked, apply_rotary_cached=rotated)

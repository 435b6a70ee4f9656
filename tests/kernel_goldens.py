"""Which goldens ask for a kernel."""

from __future__ import annotations

import numpy as np

from ropelab.golden import Golden, load

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

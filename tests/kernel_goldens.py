"""Which goldens ask for a kernel."""

from __future__ import annotations

import numpy as np

from ropelab.golden import Golden, load

OPERATIONS = {
    *("apply_rotary", "apply_rotary_qk", "apply_rotary_cached"),
    *("cos_sin", "exact_phases", "model"),
}


def asked_of_kernels() -> list[Golden]:
    """Return every golden, refusals included, that the kernels must reproduce."""
    return [
        golden
        for golden in load()
        if {golden.case.op, golden.case.options.get("call")} & OPERATIONS
        and not _is_not_asked(golden)
    ]


def _is_not_asked(golden: Golden) -> bool:
    """Say whether kernels refuse uint64, by name, or a host that reads nothing cannot refuse."""
    positions = golden.case.arguments.get("position_ids")
    is_unread = golden.case.id.startswith("refused/position-values/")
    return is_unread or (positions is not None and positions.dtype == np.uint64)

"""Which goldens ask for a kernel."""

from __future__ import annotations

import numpy as np

from ropelab.golden import Golden, load

OPERATIONS = {
    *("apply_rotary", "apply_rotary_qk", "apply_rotary_cached"),
    *("cos_sin", "exact_phases", "model", "apply_norm_rotary_qk"),
}


def asked_of_kernels() -> list[Golden]:
    """Return every golden, refusals included, that the kernels must reproduce."""
    return [
        golden
        for golden in load()
        if {golden.case.op, golden.case.options.get("call")} & OPERATIONS
        and not _is_refused_by_kernels(golden)
    ]


def _is_refused_by_kernels(golden: Golden) -> bool:
    """Say whether positions are uint64, the one integer type that kernels refuse, by name."""
    positions = golden.case.arguments.get("position_ids")
    return positions is not None and positions.dtype == np.uint64

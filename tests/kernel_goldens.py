"""Which goldens ask for a kernel."""

from __future__ import annotations

import numpy as np

from ropelab.golden import Golden, load

OPERATIONS = {
    *("apply_rotary", "apply_rotary_qk", "apply_rotary_cached", "apply_rotary_kv_cache"),
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


# Refused by values, which kernels do not show to the host: tests of the kernels say what they do.
_BY_VALUES = {"refused/kv-slot-past-the-cache", "refused/kv-slot-of-two-tokens"}


def _is_not_asked(golden: Golden) -> bool:
    """Say whether kernels refuse uint64, by name, or a host that reads nothing cannot refuse."""
    positions = golden.case.arguments.get("position_ids")
    case_id = golden.case.id
    is_unread = case_id in _BY_VALUES or case_id.startswith("refused/position-values/")
    return is_unread or (positions is not None and positions.dtype == np.uint64)

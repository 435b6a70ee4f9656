"""Which goldens ask for a kernel."""

from __future__ import annotations

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
    ]

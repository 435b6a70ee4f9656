"""Which goldens ask for a kernel: those of its operations, less what no kernel can do yet."""

from __future__ import annotations

from ropelab.golden import Golden, load

OPERATIONS = {
    *("apply_rotary", "apply_rotary_qk", "apply_rotary_cached"),
    *("cos_sin", "exact_phases", "model"),
}
# Keywords that the specification alone has, and numbers that the kernels refuse by name.
BEYOND_THE_KERNELS = {"output_layout", "rotary_offset", "periods"}


def asked_of_kernels() -> list[Golden]:
    """Return every golden, refusals included, that the kernels must reproduce."""
    return [
        golden
        for golden in load()
        if {golden.case.op, golden.case.options.get("call")} & OPERATIONS
        and not BEYOND_THE_KERNELS & {*golden.case.options, *golden.case.arguments}
    ]

"""The kernels on the CPU under sanitizers, and what the shim itself traps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.shim

ROOT = Path(__file__).parents[1]

SANITIZED = """
from itertools import product
import numpy as np
import ropelab, ropelab_cuda, ropelab_cuda.tuning, ropelab_cuda.work
from ropelab.precision import narrow
from ropelab.scaling import DynamicNTK, DynamicYaRN, Resonance, RoundedFrequencies
from tests.shim.on_cpu import on_cpu

numbers = ropelab.Spectrum([1.0, 0.5, 0.25, 0.125])
wide = ropelab.Spectrum(np.logspace(0, -3, 32))
ids = np.array([[-3, 2**31 - 1, 7]])


def everything():
    for dtype in (np.float16, np.float64):
        q, k = np.ones((2, 3, 5, 11), dtype), np.ones((2, 3, 1, 11), dtype)
        for layout in ("half", "interleaved"):
            for angles in ("exact", "float32"):
                ropelab_cuda.apply_rotary_qk(q, k, ids, numbers, layout=layout, angles=angles)
        cos, sin = ropelab_cuda.cos_sin(ids, numbers, dtype=dtype)
        ropelab_cuda.apply_rotary_cached_(q, cos, sin)
        ropelab_cuda.apply_xpos_qk(q, k, ids, numbers)
        ropelab_cuda.apply_norm_rotary_qk(q, k, np.ones(11, dtype), None, ids, numbers)
        caches = [np.ones((2, 4, 1, 11), dtype) for _ in "kv"]
        slots = np.array([[3, -1, 7], [0, 99, 5]])
        ropelab_cuda.apply_rotary_kv_cache(q, k, k, ids, numbers, *caches, slots)
        ropelab_cuda.to_interleaved_(ropelab_cuda.to_half(q[..., 1:], 6))
        ropelab_cuda.to_half(q[0, 0, 0, :8])
    ropelab_cuda.exact_phases(ids, numbers)
    for rule in (DynamicNTK(2.0), RoundedFrequencies("float16", Resonance(DynamicYaRN(64)))):
        rope = ropelab.Rope(8, scaling=rule, max_position_embeddings=64)
        for positions in (np.arange(5), np.arange(9001), np.array([2**63 - 1, -(2**63)] * 5)[:5]):
            x = np.ones((1, positions.size, 1, 8))
            ropelab_cuda.rotate(rope, x, x, positions)


def vectors():
    # As wide as can be, of several heads a thread; more blocks than are resident at once.
    ids, slots = np.arange(39) * 2**25, np.arange(39) - 3
    for name, ends in (("bfloat16", ("half", "half")), ("float32", ("interleaved", "half"))):
        q, k = (narrow(np.ones((39, heads, 64)), name) for heads in (32, 8))
        how = {"layout": ends[0], "output_layout": ends[1], "tensor_format": "thd"}
        ropelab_cuda.apply_rotary_qk(q, k, ids, wide, **how)
        ropelab_cuda.apply_rotary_qk(q, k, ids, numbers, rotary_offset=16, **how)  # with tails
    how = {"tensor_format": "thd", "dtype": "float8_e4m3fn", "scale": np.full(1, 0.5, "f4")}
    ropelab_cuda.apply_rotary(q, ids, wide, **how)
    ropelab_cuda.apply_xpos_qk(q, k, ids, numbers, tensor_format="thd")
    caches = [narrow(np.ones((3, 16, 8, 64)), "float8_e4m3fn") for _ in "kv"]
    ropelab_cuda.apply_rotary_kv_cache(q, k, k, ids, wide, *caches, slots, tensor_format="thd")


with on_cpu(sanitize=True):
    for ropelab_cuda.work.MULTIPROCESSORS in (132, 0):  # few tokens; and as if there were many
        everything()
    ropelab_cuda.tuning.MULTIPROCESSORS = 1
    vectors()
print("clean")
if PLANTED:
    with on_cpu(sanitize=True):
        memory = np.ones(4 * 8, np.float32)
        beyond = np.lib.stride_tricks.as_strided(memory, (1, 5, 1, 8), (0, 32, 32, 4))
        ropelab_cuda.apply_rotary(beyond, np.array(1), numbers)
"""


@pytest.mark.parametrize("planted", [False, True])
def test_no_access_out_of_bounds_and_no_undefined_behaviour(planted: bool) -> None:
    """Run with the address and undefined-behaviour sanitizers; a planted overrun must be seen."""
    asan = subprocess.run(
        ["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    outcome = subprocess.run(
        [sys.executable, "-c", f"PLANTED = {planted}\n{SANITIZED}"],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": asan.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "clean" in outcome.stdout, outcome.stderr
    assert ("AddressSanitizer: heap-buffer-overflow" in outcome.stderr) == planted
    assert (outcome.returncode == 0) == (not planted), outcome.stderr


def test_a_misaligned_vector_is_noticed() -> None:
    """The shim traps what a GPU would: a 16-byte access of an address that is no multiple."""
    script = (
        "import numpy as np, dataclasses\n"
        "from tests.ropelab_cuda.test_launch_rotary import plan_of\n"
        "from tests.shim.builder import run\n"
        "memory = np.zeros(999, np.float32)\n"
        "good = plan_of(pointer=memory.ctypes.data // 16 * 16 + 16)\n"
        "bad = plan_of(pointer=memory.ctypes.data // 16 * 16 + 20)\n"
        "run(good)\n"
        "run(dataclasses.replace(good, parameters=bad.parameters))\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.returncode != 0
    assert "misaligned access of 16 bytes" in outcome.stderr

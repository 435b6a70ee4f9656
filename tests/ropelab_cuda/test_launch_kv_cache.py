"""Plans of rotations into caches: access widths and addresses, on tensors that do not exist."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import ropelab
from ropelab.pairs import Placement
from ropelab_cuda.launch import MAX_THREADS, Plan
from ropelab_cuda.launch_kv_cache import Cached, plan_rotary_kv_cache
from ropelab_cuda.tuning import Tuning
from ropelab_cuda.views import View
from tests.shim.builder import run

ROOT = Path(__file__).parents[2]
HEADS, KV, D = 8, 2, 64
SPECTRUM = ropelab.Spectrum(1.0 / np.arange(1.0, 17.0))  # 32 of 64 channels


def compact(pointer: int, shape: tuple[int, ...], dtype: str) -> View:
    strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    return View(pointer, shape, strides, dtype)


def plan_of(
    tokens: int = 16,
    *,
    dtype: str = "bfloat16",
    stored: str | None = None,
    scale: float | None = None,
    k_cache: View | None = None,
    v_cache: View | None = None,
    width: int = D,
    in_place: bool = True,
    tuning: Tuning | None = None,
) -> Plan:
    q, k = (compact(1 << 20, (1, tokens, n, D), dtype) for n in (HEADS, KV))
    v = compact(1 << 20, (1, tokens, KV, width), dtype)
    caches = [compact(1 << 30, (100, 16, KV, channels), stored or dtype) for channels in (D, width)]
    return plan_rotary_kv_cache(
        (q, q if in_place else compact(1 << 28, q.shape, dtype)),
        Cached(k, k_cache or caches[0], scale),
        Cached(v, v_cache or caches[1], scale),
        compact(1 << 20, (tokens,), "int64"),
        compact(1 << 20, (tokens,), "int32"),
        SPECTRUM,
        place=Placement("bshd", "interleaved"),
        angles="exact",
        tuning=tuning,
    )


def macros(plan: Plan) -> dict[str, Any]:
    return dict(plan.specialisation.defines)


def cache_of(*strides: int, shape: tuple[int, ...] = (100, 16, KV, D)) -> View:
    return View(1 << 30, shape, strides, "bfloat16")


@pytest.mark.parametrize(
    ("cache", "block_size", "steps"),
    [
        (cache_of(16 * KV * D, KV * D, D, 1), 1, (KV * D, 0)),  # the blocks adjoin
        (cache_of(16 * KV * D, D, 16 * D, 1), 16, (16 * KV * D, D)),  # heads first
        (cache_of(32 * KV * D, KV * D, D, 1), 16, (32 * KV * D, KV * D)),  # keys beside values
        (cache_of(999 * KV * D, KV * D, D, 1, shape=(1, 16, KV, D)), 1, (KV * D, 0)),
        (cache_of(999 * KV * D, 7, D, 1, shape=(100, 1, KV, D)), 1, (999 * KV * D, 0)),
    ],
)
def test_where_a_slot_leads(cache: View, block_size: int, steps: tuple[int, int]) -> None:
    p = plan_of(k_cache=cache, v_cache=cache).parameters
    assert p.slots.block_size == block_size
    assert p.slots.count == cache.shape[0] * cache.shape[1]
    for strides in (p.k_cache, p.v_cache):
        assert (strides.block, strides.row) == steps


def test_one_cache_whose_blocks_do_not_adjoin_suffices_for_a_division() -> None:
    p = plan_of(v_cache=cache_of(16 * KV * D, D, 16 * D, 1)).parameters
    assert p.slots.block_size == 16
    assert (p.k_cache.block, p.k_cache.row) == (16 * KV * D, KV * D)


@pytest.mark.parametrize(
    ("dtype", "stored", "width", "vector"),
    [
        ("bfloat16", "bfloat16", 64, 8),
        ("bfloat16", "float8_e4m3fn", 64, 8),
        ("float32", "float8_e4m3fn", 64, 4),
        ("bfloat16", "float8_e4m3fn", 6, 2),
        ("bfloat16", "float64", 64, 2),
        ("float32", "float32", 7, 1),
    ],
)
def test_the_widest_aligned_access_to_values(
    dtype: str, stored: str, width: int, vector: int
) -> None:
    assert macros(plan_of(dtype=dtype, stored=stored, width=width))["VALUE_VECTOR"] == vector


def test_keys_are_accessed_as_their_cache_allows() -> None:
    assert macros(plan_of())["VECTOR"] == 8
    odd_rows = cache_of(16 * (KV * D + 2), KV * D + 2, D, 1)
    assert macros(plan_of(k_cache=odd_rows))["VECTOR"] == 2
    odd_blocks = cache_of(16 * KV * D + 1, KV * D, D, 1)
    assert macros(plan_of(k_cache=odd_blocks))["VECTOR"] == 1
    assert macros(plan_of(v_cache=odd_blocks))["VECTOR"] == 8


@pytest.mark.parametrize(
    ("stored", "scale", "apart"),
    [("bfloat16", None, 0), ("bfloat16", 0.5, 1), ("float8_e5m2", None, 1)],
)
def test_keys_go_out_apart_only_if_they_must(stored: str, scale: float | None, apart: int) -> None:
    found = macros(plan_of(stored=stored, scale=scale))
    assert found["KEYS_APART"] == apart
    assert found["OUTPUT_FORMAT"] == "Bfloat16"
    assert found["KEY_SCALED"] == found["VALUES_SCALED"] == int(scale is not None)


@pytest.mark.parametrize("tokens", [1, 16, 100_000])
@pytest.mark.parametrize("width", [8, 64, 4096])
def test_blocks_stay_within_their_limit_and_threads_hold_few_values(
    tokens: int, width: int
) -> None:
    plan = plan_of(tokens, width=width)
    assert np.prod(plan.block) <= MAX_THREADS
    assert 1 <= macros(plan)["VALUES_HELD"] <= 2


@pytest.mark.shim
@pytest.mark.parametrize("heads_first", [False, True])
def test_every_tuning_gives_the_same_bits(heads_first: bool) -> None:
    generator = np.random.default_rng(0)
    q, k, v = (generator.standard_normal((2, 7, n, 24)).astype("f2") for n in (5, 3, 3))
    slots = generator.permutation(24)[:14].reshape(2, 7) - 2
    ids = np.array(131_071)
    numbers = ropelab.Spectrum(1.0 / np.arange(1.0, 9.0))
    axes = (4, 3, 6, 24) if heads_first else (4, 6, 3, 24)
    expected: list[bytes] = []
    tunings = (
        None,
        *(Tuning(1, 1, 1), Tuning(3, 2, 4), Tuning(8, 4, 2), Tuning(2, 2, 1, 3, guesses=True)),
        Tuning(2, 1, 2, 2, guesses=True, few_tokens=True),
        Tuning(3, 1, 3, guesses=True, loads_first=True),
    )
    for tuning in tunings:
        out, caches = np.zeros_like(q), [np.zeros(axes, "f2") for _ in "kv"]
        views = [cache.swapaxes(1, 2) if heads_first else cache for cache in caches]
        taken = [
            View(x.ctypes.data, x.shape, tuple(s // x.itemsize for s in x.strides), x.dtype.name)
            for x in (q, out, k, v, *views, ids, slots)
        ]
        with mock.patch("ropelab_cuda.tuning.MULTIPROCESSORS", 0):  # all blocks are late ones
            plan = plan_rotary_kv_cache(
                (taken[0], taken[1]),
                Cached(taken[2], taken[4]),
                Cached(taken[3], taken[5]),
                taken[6],
                taken[7],
                numbers,
                place=Placement("bshd", "half"),
                angles="exact",
                tuning=tuning,
            )
        run(plan)
        bits = [array.tobytes() for array in (out, *caches)]
        expected = expected or bits
        assert bits == expected, tuning
        assert all(np.abs(array).max() > 1.0 for array in (out, *caches))


SANITIZED = """
import numpy as np
import ropelab, ropelab_cuda
from ropelab.positions import Packed
from tests.shim.on_cpu import on_cpu

numbers = ropelab.Spectrum([1.0, 0.5, 0.25, 0.125])
ids = np.array([[-3, 2**31 - 1, 7]])
slots = np.array([[2**63 - 1, -2**63, 24], [23, 0, -1]])
with on_cpu(sanitize=True):
    for dtype in (np.float16, np.float64):
        for width, layout in ((11, "half"), (8, "interleaved")):
            q, k, v = (np.ones((2, 3, h, width), dtype) for h in (5, 2, 2))
            flag = np.zeros(1, np.int32)
            for axes in ((4, 6, 2, width), (4, 2, 6, width)):
                caches = [np.ones(axes, dtype) for _ in "kv"]
                if axes[1] == 2:
                    caches = [cache.swapaxes(1, 2) for cache in caches]
                for out in ("half", "interleaved"):
                    ropelab_cuda.apply_rotary_kv_cache_(
                        q, k, v, ids, numbers, *caches, slots,
                        layout=layout, output_layout=out, overrun_flag=flag)
    wild = Packed(np.array([0, 7, -3, 2**62]), np.array([2**63 - 1, -5, 3]), 3, 1)
    q, k, v = (x.reshape(6, -1, width) for x in (q, k, v))
    ropelab_cuda.apply_rotary_kv_cache_(
        q, k, v, wild, numbers, *caches, slots.reshape(6), tensor_format="thd")
print("clean", flag)
"""


@pytest.mark.shim
def test_no_access_out_of_bounds_whatever_the_slots_are() -> None:
    asan = subprocess.run(
        ["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    outcome = subprocess.run(
        [sys.executable, "-c", SANITIZED],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": asan.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "clean [1]" in outcome.stdout

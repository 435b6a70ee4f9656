"""How threads share the work: whichever way, the specification's numbers come of it.

The kernels for many tokens run on the CPU here, for a device so small that few tokens fill it: its
early blocks and its late ones take different ways to their angles.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.pairs import Placement
from ropelab.positions import Consecutive, Packed
from ropelab.precision import eps, widen
from ropelab_cuda.launch import Plan
from ropelab_cuda.launch_rotary import plan_rotary
from ropelab_cuda.tuning import Tuning
from ropelab_cuda.views import View
from tests.ropelab_cuda.test_kernels import (
    BOUNDS,
    Array,
    outside,
    pair_error,
    random,
    spectrum,
    where_rotated,
)
from tests.shim.builder import run
from tests.shim.on_cpu import on_cpu

pytestmark = pytest.mark.shim

TOKENS = (3, 13)  # more than blocks that are resident at once, and no multiple of what one takes
IDS = np.random.default_rng(3).integers(-(2**31), 2**31, TOKENS)


@contextmanager
def on_small_device() -> Iterator[list[dict[str, Any]]]:
    """Run on the CPU, as for one multiprocessor; yield the macros of every kernel that runs."""
    macros: list[dict[str, Any]] = []

    def noted(plan: Plan, *, sanitize: bool = False) -> None:
        macros.append(dict(plan.specialisation.defines))
        run(plan, sanitize=sanitize)

    with (
        on_cpu(),
        mock.patch("ropelab_cuda.work.MULTIPROCESSORS", 1),
        mock.patch("ropelab_cuda.tuning.MULTIPROCESSORS", 1),
        mock.patch("tests.shim.on_cpu.run", noted),
    ):
        yield macros


def queries_and_keys(heads: tuple[int, int], head_dim: int, dtype: str) -> tuple[Array, Array]:
    q, k = (random(*TOKENS, number, head_dim, dtype=dtype, seed=number) for number in heads)
    return q, k


@pytest.mark.parametrize(
    ("heads", "dtype", "width", "layouts", "macros"),
    [
        # (head_dim, rotary_dim, rotary_offset), and what these shapes are here for
        ((32, 32), "bfloat16", (96, 24, 0), ("half", "half"), {"LOADS_FIRST": 1, "UNROLL": 8}),
        ((32, 8), "float16", (96, 24, 0), ("interleaved",) * 2, {"LOADS_FIRST": 1, "UNROLL": 5}),
        ((64, 8), "bfloat16", (128, 128, 0), ("half", "half"), {"PAIRS_HELD": 8, "UNROLL": 4}),
        ((32, 32), "bfloat16", (128, 128, 0), ("interleaved",) * 2, {"VECTOR": 8, "UNROLL": 8}),
        ((8, 1), "bfloat16", (128, 128, 0), ("half", "half"), {"TOKENS": 2, "UNROLL": 3}),
        ((64, 8), "float16", (256, 256, 0), ("half", "half"), {"PAIRS_HELD": 8, "UNROLL": 6}),
        ((32, 8), "float32", (128, 64, 0), ("half", "half"), {"VECTOR": 4, "TAIL": 64}),
        ((32, 8), "bfloat16", (192, 64, 128), ("interleaved", "half"), {"OFFSET": 128}),
        ((5, 2), "float64", (64, 6, 3), ("half", "interleaved"), {"VECTOR": 1, "UNROLL": 4}),
        # More units than a block has threads: all that follow those, and tails in another layout.
        ((2, 1), "float32", (1031, 1030, 0), ("half", "half"), {"ACROSS": 512, "PAIRS_HELD": 1}),
        ((2, 1), "float16", (1101, 1000, 51), ("half", "interleaved"), {"ACROSS": 512}),
    ],
)
def test_many_tokens(
    heads: tuple[int, int],
    dtype: str,
    width: tuple[int, int, int],
    layouts: tuple[str, str],
    macros: dict[str, int],
) -> None:
    head_dim, rotary_dim, offset = width
    both, numbers = queries_and_keys(heads, head_dim, dtype), spectrum(rotary_dim)
    options: dict[str, Any] = {"rotary_offset": offset, "angles": "float32"}
    options |= {"layout": layouts[0], "output_layout": layouts[1]}
    with on_small_device() as seen:
        new = ropelab_cuda.apply_rotary_qk(*both, IDS, numbers, **options)
        places = both[0].copy(), both[1].copy()
        ropelab_cuda.apply_rotary_qk_(*places, IDS, numbers, **options)
    assert macros.items() <= seen[0].items()
    assert all(not one["FEW_TOKENS"] for one in seen)
    wanted = ropelab.apply_rotary_qk(*both, IDS, numbers, **options)
    for got, in_place, want, source in zip(new, places, wanted, both, strict=True):
        assert in_place.tobytes() == got.tobytes()
        assert outside(got, offset, rotary_dim) == outside(source, offset, rotary_dim)
        turned, true = (where_rotated(x, offset, rotary_dim) for x in (got, want))
        assert pair_error(turned, true, layouts[1], rotary_dim) <= BOUNDS[dtype]


def test_given_cosines() -> None:
    both = queries_and_keys((32, 8), 128, "bfloat16")
    tables = [random(*TOKENS, 32, dtype="float32", seed=seed) for seed in (1, 2)]
    rows, ids = [random(99, 32, dtype="float32", seed=seed) for seed in (3, 4)], IDS % 99
    with on_small_device() as seen:
        new = ropelab_cuda.apply_rotary_cached_qk(*both, *tables)
        looked_up = ropelab_cuda.apply_rotary_cached_qk(*both, *rows, position_ids=ids)
    assert [(one["FEW_TOKENS"], one["UNROLL"], one["INDEXED"]) for one in seen] == [
        (0, 5, 0),
        (0, 5, 1),
    ]
    wanted = ropelab.apply_rotary_cached_qk(*both, *tables)
    taken = ropelab.apply_rotary_cached_qk(*both, *rows, position_ids=ids)
    for got, want in zip((*new, *looked_up), (*wanted, *taken), strict=True):
        assert outside(got, 0, 64) == outside(want, 0, 64)
        # Tables of any norm: the error is measured against the largest number.
        error = np.abs(widen(got) - widen(want)).max() / np.abs(widen(want)).max()
        assert error <= BOUNDS["bfloat16"] * eps("bfloat16")


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_xpos(layout: str) -> None:
    both, numbers = queries_and_keys((32, 8), 96, "bfloat16"), spectrum(24)
    given: Any = (*both, IDS % 4000, numbers)
    options: dict[str, Any] = {"layout": layout, "centre": 2000}
    with on_small_device() as seen:
        new = ropelab_cuda.apply_xpos_qk(*given, **options)
    assert (seen[0]["LOADS_FIRST"], seen[0]["UNROLL"]) == (1, 5)
    for got, want in zip(new, ropelab.apply_xpos_qk(*given, **options), strict=True):
        assert pair_error(got, want, layout, 24) <= BOUNDS["bfloat16"]


@pytest.mark.parametrize("cache_dtype", ["bfloat16", "float8_e4m3fn"])
def test_caches(cache_dtype: str) -> None:
    q, k = queries_and_keys((32, 8), 96, "bfloat16")
    v, numbers = random(*TOKENS, 8, 96, dtype="bfloat16", seed=9), spectrum(24)
    slots = np.random.default_rng(5).permutation(48)[: IDS.size].reshape(TOKENS)
    scales: dict[str, Any] = {} if cache_dtype == "bfloat16" else {"k_scale": 0.5, "v_scale": 2.0}
    caches, true = ([random(6, 8, 8, 96, dtype=cache_dtype, seed=s) for s in (1, 2)] for _ in "12")
    given: Any = (q, k, v, IDS, numbers, *caches, slots)
    same: Any = (*given[:5], *true, slots)
    with on_small_device() as seen:
        got = ropelab_cuda.apply_rotary_kv_cache(*given, **scales)
    want = ropelab.apply_rotary_kv_cache(*same, **scales)
    assert (seen[0]["LOADS_FIRST"], seen[0]["UNROLL"]) == (1, 5)
    assert pair_error(got, want, "half", 24) <= BOUNDS["bfloat16"]
    assert pair_error(caches[0], true[0], "half", 24) <= 1.01
    assert caches[1].tobytes() == true[1].tobytes()


def test_results_of_eight_bits_at_counted_positions() -> None:
    x, numbers = random(39, 40, 64, dtype="float16"), spectrum(64)
    places = Consecutive(131_071), Packed(np.array([0, 7, 7, 30, 39]), np.arange(4) * 9001)
    options: dict[str, Any] = {"tensor_format": "thd", "dtype": "float8_e4m3fn", "scale": 0.25}
    for place in places:
        with on_small_device() as seen:
            got = ropelab_cuda.apply_rotary(x, place, numbers, **options)
        assert (seen[0]["FEW_TOKENS"], seen[0]["UNROLL"]) == (0, 5)
        want = ropelab.apply_rotary(x, place, numbers, **options)
        assert pair_error(got, want, "half", 64) <= 1.01


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_every_tuning_gives_the_same_bits(layout: str) -> None:
    x, numbers = random(*TOKENS, 5, 24, dtype="float16"), spectrum(16)
    out = np.empty_like(x)
    views = [View(a.ctypes.data, a.shape, _strides(a), a.dtype.name) for a in (x, out, IDS)]
    results = set()
    for tuning in (
        Tuning(1, 1, 1),
        Tuning(3, 2, 4),
        Tuning(8, 4, 2),
        Tuning(2, 3, 3, guesses=True),
        Tuning(2, 1, 1, 3, guesses=True, few_tokens=True),
        Tuning(2, 1, 2, few_tokens=True),
        Tuning(2, 8, 3, guesses=True, loads_first=True),
    ):
        out[...] = np.nan
        with mock.patch("ropelab_cuda.tuning.MULTIPROCESSORS", int(tuning.tokens == 1)):
            plan = plan_rotary(
                [(views[0], views[1])],
                views[2],
                numbers,
                place=Placement("bshd", layout),
                angles="exact",
                tuning=tuning,
            )
        run(plan)
        results.add(out.tobytes())
    assert len(results) == 1
    assert pair_error(out, ropelab.apply_rotary(x, IDS, numbers, layout=layout), layout, 16) <= 1.01


def _strides(x: Array) -> tuple[int, ...]:
    return tuple(step // x.itemsize for step in x.strides)

"""The fused norm and rotation, executed on the CPU, against the specification."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.ropelab.support import refuses
from tests.ropelab_cuda.norms import (
    BOUNDS,
    DTYPES,
    LAYOUTS,
    Array,
    fused,
    fused_,
    random,
    specified,
    spectrum,
    weights_of,
    worst,
)
from tests.shim.builder import run
from tests.shim.on_cpu import guarded, on_cpu

pytestmark = pytest.mark.shim

ROOT = Path(__file__).parents[2]
HEAD_DIMS = [
    *((32, 32), (64, 64), (80, 80), (80, 20), (96, 96), (96, 24), (100, 50), (100, 100)),
    *((128, 128), (192, 64), (192, 192), (256, 256), (512, 512), (512, 128), (33, 32), (11, 6)),
]


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(("head_dim", "rotary_dim"), HEAD_DIMS)
def test_every_head_dim(head_dim: int, rotary_dim: int, across: bool) -> None:
    for number, layout in enumerate(LAYOUTS):
        dtype = DTYPES[(head_dim + number) % 4]
        q, k = (random(2, 3, h, head_dim, dtype=dtype, seed=h) for h in (5, 2))
        weights = [weights_of(h, head_dim, "float32", across, 7 + h) for h in (5, 2)]
        ids = np.array([[0, 131_071, 5], [2**20 + 1, 77, 4095]])
        options: dict[str, Any] = {"layout": layout, "across_heads": across, "weight_offset": 1.0}
        numbers = spectrum(rotary_dim)
        with on_cpu():
            got = fused(q, k, *weights, ids, numbers, **options)
        wanted = specified(q, k, *weights, ids, numbers, **options)
        drift = 2.0**20 * 2 * np.pi * 2.0**-65 / 2.0**-52 if dtype == "float64" else 0.0
        for one, other in zip(got, wanted, strict=True):
            assert worst(one, other, layout, rotary_dim) <= BOUNDS[dtype] + drift


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_more_heads_than_a_thread_has_in_flight(dtype: str, across: bool) -> None:
    """Where tokens are many; in place, too, where what is read again must not be written yet."""
    q, k = (random(1, 133, h, 128, dtype=dtype, seed=h) for h in (21, 13))
    weights = [weights_of(h, 128, "float32", across, 7 + h) for h in (21, 13)]
    given = (*weights, np.arange(133) * 977, spectrum(128))
    with on_cpu(), mock.patch("tests.shim.on_cpu.run", wraps=run) as launches:
        got = fused(q, k, *given, across_heads=across)
        places = fused_(q.copy(), k.copy(), *given, across_heads=across)
    (plan, *_), _ = launches.call_args
    in_flight = dict(plan.specialisation.defines)
    assert int(in_flight["Q_UNROLL"]) * plan.block[1] < 21
    wanted = specified(q, k, *given, across_heads=across)
    for one, place, other in zip(got, places, wanted, strict=True):
        assert worst(one, other, "half", 128) <= BOUNDS[dtype]
        assert one.tobytes() == place.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight_dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_of_every_dtype(dtype: str, weight_dtype: str, layout: str) -> None:
    q, k = (random(1, 3, h, 24, dtype=dtype, seed=h) for h in (3, 1))
    weights = [random(24, dtype=weight_dtype, seed=s) for s in (5, 6)]
    options: dict[str, Any] = {"layout": layout, "weight_offset": 1.0, "rotary_offset": 2}
    with on_cpu():
        got = fused(q, k, *weights, np.arange(3), spectrum(16), **options)
    wanted = specified(q, k, *weights, np.arange(3), spectrum(16), **options)
    for one, other in zip(got, wanted, strict=True):
        assert worst(one, other, layout, 16, 2) <= BOUNDS[dtype]


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("past", [0, 1])
def test_weights_that_are_not_aligned(past: int, across: bool) -> None:
    q, k = (random(1, 3, h, 32, dtype="bfloat16", seed=h) for h in (3, 2))
    rows = [random(h, 40, dtype="bfloat16", seed=h + 9)[:, past : past + 32] for h in (3, 2)]
    weights = rows if across else [row[1] for row in rows]
    numbers, ids = spectrum(32), np.arange(3) * 1001
    with on_cpu():
        got = fused(q, k, *weights, ids, numbers, across_heads=across)
    wanted = specified(q, k, *weights, ids, numbers, across_heads=across)
    for one, other in zip(got, wanted, strict=True):
        assert worst(one, other, "half", 32) <= BOUNDS["bfloat16"]


ENDS = [("half", None), ("interleaved", None), ("half", "interleaved"), ("interleaved", "half")]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize(("layout", "output_layout"), ENDS)
@pytest.mark.parametrize("across", [False, True])
def test_in_place_is_the_same_and_touches_nothing_else(
    dtype: str, layout: str, output_layout: str | None, across: bool
) -> None:
    packed = random(2, 5, 12, 40, dtype=dtype)
    before = packed.copy()
    views = packed[:, :, :7, 1:37], packed[:, :, 7:9, 1:37]
    weights = [weights_of(h, 36, dtype, across, h) for h in (7, 2)]
    ids, numbers = np.arange(10).reshape(2, 5) * 31, spectrum(24)
    options: dict[str, Any] = {"layout": layout, "output_layout": output_layout}
    options |= {"rotary_offset": 4, "across_heads": across}
    wanted = specified(*views, *weights, ids, numbers, **options)
    with on_cpu():
        new = fused(*views, *weights, ids, numbers, **options)
        answers = fused_(*views, *weights, ids, numbers, **options)
    assert answers[0] is views[0]
    assert answers[1] is views[1]
    for place, one, other in zip(views, new, wanted, strict=True):
        assert worst(one, other, output_layout or layout, 24, 4) <= BOUNDS[dtype]
        assert worst(place.copy(), other, output_layout or layout, 24, 4) <= BOUNDS[dtype]
    assert packed[:, :, 9:].tobytes() == before[:, :, 9:].tobytes()
    assert packed[..., 0].tobytes() == before[..., 0].tobytes()
    assert packed[..., 37:].tobytes() == before[..., 37:].tobytes()


def strided(dtype: str, heads: int) -> dict[str, Array]:
    """Return views of one shape, (2, 5, heads, 20), that lie in memory in every manner."""
    return {
        "padded": random(2, 5, heads, 27, dtype=dtype)[..., 1:21],
        "transposed": random(heads, 5, 2, 20, dtype=dtype).transpose(2, 1, 0, 3),
        "reversed": random(2, 5, heads, 20, dtype=dtype)[::-1, ::-1, ::-1],
        "stepped": random(4, 10, 2 * heads, 20, dtype=dtype)[::2, ::2, ::2],
        "broadcast": np.broadcast_to(random(1, 5, 1, 20, dtype=dtype), (2, 5, heads, 20)),
    }


@pytest.mark.parametrize("kind", strided("float32", 3))
@pytest.mark.parametrize("across", [False, True])
def test_any_strides_but_the_last(kind: str, across: bool) -> None:
    q, k = (strided("float16", heads)[kind] for heads in (3, 2))
    weights = [weights_of(h, 20, "float16", across, h) for h in (3, 2)]
    ids = np.arange(10).reshape(2, 5) * 1001
    with on_cpu():
        got = fused(q, k, *weights, ids, spectrum(12), across_heads=across)
    wanted = specified(q, k, *weights, ids, spectrum(12), across_heads=across)
    for one, other in zip(got, wanted, strict=True):
        assert worst(one, other, "half", 12) <= BOUNDS["float16"]


@pytest.mark.parametrize("layout", ENDS)
def test_more_heads_together_than_a_block_keeps(layout: tuple[str, str | None]) -> None:
    """Heads that no thread can keep are read once more: the same numbers, in place too."""
    q, k = (random(1, 2, h, 64, dtype="float64", seed=h) for h in (150, 37))
    weights = [weights_of(h, 64, "float64", across=True, seed=h) for h in (150, 37)]
    options: dict[str, Any] = {"layout": layout[0], "output_layout": layout[1]}
    options |= {"across_heads": True, "tensor_format": "bshd"}
    wanted = specified(q, k, *weights, [3, 4], spectrum(64), **options)
    places = (q.copy(), k.copy())
    with on_cpu():
        new = fused(q, k, *weights, np.array([3, 4]), spectrum(64), **options)
        fused_(*places, *weights, np.array([3, 4]), spectrum(64), **options)
    for one, place, other in zip(new, places, wanted, strict=True):
        assert worst(one, other, layout[1] or layout[0], 64) <= BOUNDS["float64"]
        assert place.tobytes() == one.tobytes()


@pytest.mark.parametrize("across", [False, True])
def test_out_receives_the_result(across: bool) -> None:
    q, k = (random(2, 3, h, 8, dtype="float32", seed=h) for h in (3, 1))
    outs = tuple(guarded((h, 2, 3, 8), np.dtype(np.float32)).transpose(1, 2, 0, 3) for h in (3, 1))
    given = (None, None, np.arange(3), spectrum(6))
    with on_cpu():
        got = fused(q, k, *given, across_heads=across, out=outs)
    assert got[0] is outs[0]
    assert got[1] is outs[1]
    wanted = specified(q, k, *given, across_heads=across)
    for one, other in zip(outs, wanted, strict=True):
        assert worst(one, other, "half", 6) <= BOUNDS["float32"]


def test_many_tokens_and_positions_of_several_axes() -> None:
    numbers = spectrum(12, axes=[0, 1, 2, 2, 1, 0], periods=[0, 5, 0, 7, 0, 0])
    q, k = (random(3, 67, h, 16, dtype="float32", seed=h) for h in (2, 1))
    ids = np.random.default_rng(1).integers(0, 2**20, (3, 3, 67)).astype(np.int32)
    weights = [random(16, dtype="float32", seed=s) for s in (1, 2)]
    for angles in ("exact", "float32"):
        with on_cpu():
            got = fused(q, k, *weights, ids, numbers, angles=angles)
        wanted = specified(q, k, *weights, ids, numbers, angles=angles)
        for one, other in zip(got, wanted, strict=True):
            assert worst(one, other, "half", 12) <= BOUNDS["float32"]


def test_tiny_and_large_heads_and_zeros() -> None:
    q = random(1, 4, 2, 16, dtype="float32")
    q[0, 0], q[0, 1] = 0.0, q[0, 1] * 2.0**-100
    q[0, 2] *= 2.0**50
    given = (None, None, np.arange(4), spectrum(16))
    with on_cpu():
        got, _ = fused(q, q, *given)
    wanted, _ = specified(q, q, *given)
    assert (got[0, 0] == 0.0).all()
    assert worst(got[:, 1:], wanted[:, 1:], "half", 16) <= BOUNDS["float32"]


@pytest.mark.parametrize("shape", [(0, 5, 3, 8), (2, 0, 3, 8), (2, 5, 0, 8)])
@pytest.mark.parametrize("across", [False, True])
def test_nothing_to_do(shape: tuple[int, ...], across: bool) -> None:
    q = np.empty(shape, np.float32)
    weight = np.ones((shape[2], 8) if across else 8, np.float32)
    ids = np.zeros((1, 1), np.int64)
    with on_cpu():
        got = fused(q, q, weight, weight, ids, spectrum(8), across_heads=across)
    assert [y.shape for y in got] == [shape, shape]


@pytest.mark.parametrize("across", [False, True])
def test_queries_without_keys(across: bool) -> None:
    q, k = random(2, 3, 5, 8, dtype="float32"), np.empty((2, 3, 0, 8), np.float32)
    given = (None, None, np.arange(3), spectrum(8))
    with on_cpu():
        got = fused(q, k, *given, across_heads=across)
    wanted = specified(q, k, *given, across_heads=across)
    assert worst(got[0], wanted[0], "half", 8) <= BOUNDS["float32"]
    assert got[1].shape == k.shape


@pytest.mark.parametrize(
    ("kind", "name", "came", "change"),
    [
        (ValueError, "q_weight", "(15,)", {"q_weight": np.ones(15, np.float32)}),
        (ValueError, "k_weight", "(2, 16)", {"k_weight": np.ones((2, 16), np.float32)}),
        (ValueError, "q_weight", "(16,)", {"across_heads": True}),
        (TypeError, "k_weight", "float64", {"k_weight": np.ones(16)}),
        (TypeError, "q_weight", "int64", {"q_weight": np.ones(16, np.int64)}),
        (ValueError, "q_weight", "(2,)", {"q_weight": np.ones(32, np.float32)[::2]}),
        (ValueError, "eps", "-1.0", {"eps": -1.0}),
        (ValueError, "eps", "nan", {"eps": np.nan}),
        (TypeError, "across_heads", "1", {"across_heads": 1}),
        (ValueError, "weight_offset", "inf", {"weight_offset": np.inf}),
        (ValueError, "angles", "fast", {"angles": "fast"}),
        (ValueError, "rotary_offset", "9", {"rotary_offset": 9}),
        (TypeError, "out", "ndarray", {"out": np.ones(3)}),
        (TypeError, "out[0]", "float32", {"dtype": "float16"}),
        (TypeError, "dtype", "int8", {"dtype": "int8"}),
        (ValueError, "scale", "0.0", {"scale": 0.0}),
        (ValueError, "scale[1]", "-2", {"scale": (1.0, -2)}),
        (ValueError, "scale", "got 3", {"scale": (1, 2, 3)}),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    kind: type[Exception], name: str, came: str, change: dict[str, Any]
) -> None:
    q, k = np.ones((2, 3, 4, 16), np.float32), np.ones((2, 3, 2, 16), np.float32)
    outs = tuple(np.full_like(x, 7.0) for x in (q, k))
    given: dict[str, Any] = {
        "q": q,
        "k": k,
        "q_weight": np.ones(16, np.float32),
        "k_weight": np.ones(16, np.float32),
        "position_ids": np.zeros(3, np.int64),
        "spectrum": spectrum(8),
        "out": outs,
    }
    with on_cpu(), refuses(kind, name, came):
        fused(**{**given, **change})
    assert all((out == 7.0).all() for out in outs)


def test_an_output_over_the_weights_is_refused() -> None:
    memory = np.ones(3 * 16 + 16, np.float32)
    q = np.ones((1, 3, 1, 16), np.float32)
    outs = (memory[:48].reshape(1, 3, 1, 16), np.empty_like(q))
    given = (memory[40:56], None, np.arange(3), spectrum(16))
    with on_cpu(), refuses(ValueError, "out[0]", "q_weight"):
        fused(q, q.copy(), *given, out=outs)


SANITIZED = """
import numpy as np
import ropelab, ropelab_cuda
from ropelab.positions import Packed
from tests.shim.on_cpu import on_cpu

numbers = ropelab.Spectrum([1.0, 0.5, 0.25, 0.125])
ids = np.array([[-3, 2**31 - 1, 7]])
with on_cpu(sanitize=True):
    for dtype in (np.float16, np.float64):
        for heads, head_dim in ((5, 11), (37, 72)):
            q, k = np.ones((2, 3, heads, head_dim), dtype), np.ones((2, 3, 1, head_dim), dtype)
            for ends in (("half", None), ("interleaved", "half")):
                for across in (False, True):
                    w = [np.ones((h, head_dim)[not across :], np.float32) for h in (heads, 1)]
                    ropelab_cuda.apply_norm_rotary_qk_(
                        q, k, *w, ids, numbers, across_heads=across, rotary_offset=2,
                        layout=ends[0], output_layout=ends[1],
                    )
    wild = Packed(np.array([0, 7, -3, 2**62]), np.array([2**63 - 1, -5, 3]), 3, 1)
    q, k = np.ones((7, 5, 8), np.float32), np.ones((7, 2, 8), np.float32)
    ropelab_cuda.apply_norm_rotary_qk_(q, k, None, None, wild, numbers, tensor_format="thd")
print("clean")
"""


def test_no_access_out_of_bounds_and_no_undefined_behaviour() -> None:
    """Run with the address and undefined-behaviour sanitizers."""
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
    assert "clean" in outcome.stdout, outcome.stderr

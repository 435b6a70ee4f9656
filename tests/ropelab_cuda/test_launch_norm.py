"""Plans of the fused norm: threads of a head, blocks, heads kept; on tensors that do not exist."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import ropelab
from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement
from ropelab_cuda import parameters
from ropelab_cuda.launch import MAX_THREADS, Plan
from ropelab_cuda.launch_norm import plan_norm_rotary
from ropelab_cuda.tuning import Tuning
from ropelab_cuda.views import View
from tests.ropelab.support import refuses
from tests.shim.builder import run


def compact(pointer: int, shape: tuple[int, ...], dtype: str) -> View:
    strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    return View(pointer, shape, strides, dtype)


def plan_of(
    heads: tuple[int, int] = (32, 8),
    head_dim: int = 128,
    rotary_dim: int | None = None,
    *,
    tokens: int = 8192,
    dtype: str = "bfloat16",
    weight_dtype: str | None = "bfloat16",
    across: bool = False,
    layout: str = "half",
    weight_pointer: int = 1 << 30,
    rotary_offset: int = 0,
) -> Plan:
    x = [compact(1 << 20, (1, tokens, h, head_dim), dtype) for h in heads]
    weights = [
        None
        if weight_dtype is None
        else compact(weight_pointer, (h, head_dim) if across else (head_dim,), weight_dtype)
        for h in heads
    ]
    return plan_norm_rotary(
        [*zip(x, x, strict=True)],
        weights,
        compact(1 << 40, (tokens,), "int32"),
        ropelab.Spectrum(np.ones((rotary_dim or head_dim) // 2)),
        norm=Norm(across_heads=across),
        place=Placement("bshd", layout, None, rotary_offset),
        angles="exact",
    )


def macros(plan: Plan) -> dict[str, Any]:
    return dict(plan.specialisation.defines)


@pytest.mark.parametrize(
    ("head_dim", "rotary_dim", "across"),
    [
        (32, 32, 2),
        (64, 64, 4),
        (80, 80, 8),  # 5 units
        (96, 24, 16),  # 3 units and 9 that do not turn
        (128, 128, 8),
        (256, 256, 16),
        (512, 512, 32),
        (1024, 1024, 32),  # 64 units in two rounds
        (100, 100, 32),  # 25 units of two pairs
        (33, 32, 32),  # rows that lie 66 bytes apart: element by element
        (2, 2, 1),
    ],
)
def test_a_head_takes_a_power_of_two_of_threads(
    head_dim: int, rotary_dim: int, across: int
) -> None:
    for all_heads in (False, True):
        plan = plan_of(head_dim=head_dim, rotary_dim=rotary_dim, across=all_heads)
        assert plan.block[0] == macros(plan)["ACROSS"] == across


@pytest.mark.parametrize("tokens", [1, 100, 8192])
@pytest.mark.parametrize("heads", [(1, 0), (1, 1), (8, 1), (32, 8), (64, 64), (300, 200)])
@pytest.mark.parametrize("head_dim", [2, 24, 64, 128, 512])
@pytest.mark.parametrize("across", [False, True])
def test_the_threads_of_a_token_fill_their_warps(
    tokens: int, heads: tuple[int, int], head_dim: int, across: bool
) -> None:
    plan = plan_of(heads, head_dim, tokens=tokens, across=across)
    x, y, z = plan.block
    assert (x * y) % 32 == 0
    assert x * y * z <= MAX_THREADS
    assert plan.grid[1] == 1 or (tokens <= 100 and not across)
    if across:
        assert z == 1
        assert macros(plan)["HEADS"] == sum(heads)


def test_channels_that_are_not_rotated_are_part_of_it_in_place_too() -> None:
    plan = plan_of(head_dim=96, rotary_dim=24)
    assert (macros(plan)["TAIL"], macros(plan)["PAIRS_HELD"], plan.block[0]) == (72, 4, 16)


@pytest.mark.parametrize(
    ("layout", "weight_dtype", "past", "vector"),
    [
        ("half", "bfloat16", 0, 8),
        ("half", "float32", 0, 4),  # weights of 16 bytes
        ("interleaved", "bfloat16", 0, 8),
        ("interleaved", "float32", 0, 4),
        ("interleaved", None, 0, 8),
        ("half", "bfloat16", 2, 1),  # weights at an odd element
        ("interleaved", "float64", 0, 2),
    ],
)
def test_accesses_are_as_wide_as_the_weights_allow(
    layout: str, weight_dtype: str | None, past: int, vector: int
) -> None:
    address = (1 << 30) + past
    plan = plan_of(layout=layout, weight_dtype=weight_dtype, weight_pointer=address)
    assert macros(plan)["VECTOR"] == vector


@pytest.mark.parametrize(
    ("heads", "across", "block", "in_flight"),
    [
        ((32, 8), False, (8, 4, 1), (2, 2)),
        ((64, 4), False, (8, 4, 1), (2, 1)),
        ((2, 1), False, (8, 4, 1), (1, 1)),  # more lanes than heads, to fill the warp
        ((32, 8), True, (8, 8, 1), (2, 1)),  # the others are read twice
        ((10, 5), True, (8, 8, 1), (2, 1)),  # all are kept
    ],
)
def test_a_warp_or_two_have_a_token_with_few_heads_in_flight(
    heads: tuple[int, int],
    across: bool,
    block: tuple[int, int, int],
    in_flight: tuple[int, int],
) -> None:
    plan = plan_of(heads, across=across)
    assert plan.block == block
    assert (macros(plan)["Q_UNROLL"], macros(plan)["K_UNROLL"]) == in_flight


def test_weights_start_at_the_first_rotated_channel() -> None:
    plan = plan_of(head_dim=64, rotary_dim=32, rotary_offset=24)
    assert plan.parameters.q.weights == (1 << 30) + 24 * 2
    none = plan_of(weight_dtype=None)
    assert (none.parameters.q.weights, none.parameters.k.weights) == (0, 0)


def test_the_share_of_a_channel() -> None:
    each, together = plan_of(), plan_of(across=True)
    assert each.parameters.q.share == each.parameters.k.share == 1 / 128
    assert (together.parameters.q.share, together.parameters.k.share) == (1 / 4096, 1 / 1024)
    assert together.parameters.q.head_stride == 128
    assert each.parameters.q.head_stride == 0


def test_a_plan_says_where_its_addresses_are() -> None:
    plan = plan_of()
    words = memoryview(plan.parameters).cast("B").cast("Q")
    found = {(kind, i): words[at // 8] for at, kind, i in plan.pointers}
    assert found == {
        **{(kind, i): 1 << 20 for kind in ("input", "output") for i in (0, 1)},
        ("other", 0): 1 << 30,
        ("other", 1): 1 << 30,
        ("other", 2): 1 << 40,
    }
    assert ctypes.sizeof(plan.parameters) < parameters.MAX_BYTES
    assert len(plan_of(weight_dtype=None).pointers) == 5


def test_more_heads_together_than_shared_memory_has_sums_for_are_refused() -> None:
    with refuses(ValueError, "q", "13000 heads", "49152 bytes"):
        plan_of((12_000, 1000), tokens=1, across=True)


@pytest.mark.shim
@pytest.mark.parametrize("across", [False, True])
def test_every_tuning_gives_the_same_bits(across: bool) -> None:
    x = np.random.default_rng(0).standard_normal((1, 7, 5, 24)).astype(np.float32)
    weight = np.random.default_rng(1).standard_normal((5, 24)).astype(np.float32)
    ids = np.array(131_071)
    results = []
    for tuning in (Tuning(8, 1, 1), Tuning(16, 1, 4), Tuning(24, 1, 2, 1 if across else 2)):
        out = np.zeros_like(x)
        pair = (
            compact(x.ctypes.data, x.shape, "float32"),
            compact(out.ctypes.data, x.shape, "float32"),
        )
        nothing = compact(x.ctypes.data, (1, 7, 0, 24), "float32")
        plan = plan_norm_rotary(
            [pair, (nothing, nothing)],
            [compact(weight.ctypes.data, (5, 24) if across else (24,), "float32"), None],
            View(ids.ctypes.data, (), (), "int64"),
            ropelab.Spectrum(1.0 / np.arange(1.0, 9.0)),
            norm=Norm(across_heads=across),
            place=Placement("bshd", "half"),
            angles="exact",
            tuning=tuning,
        )
        run(plan)
        results.append(out.tobytes())
    assert len(set(results)) == 1
    assert np.frombuffer(results[0], np.float32).all()

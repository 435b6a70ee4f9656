"""Plans of the rotation: access widths, walks and blocks, on tensors that do not exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import ropelab
from ropelab.pairs import Placement
from ropelab_cuda.launch import (
    FORMATS,
    MAX_THREADS,
    OUTPUT_FORMATS,
    Plan,
    plan_cos_sin,
    plan_phases,
)
from ropelab_cuda.launch_rotary import plan_rotary
from ropelab_cuda.parameters import Operand, Tensors
from ropelab_cuda.tuning import Tuning
from ropelab_cuda.views import View


def compact(pointer: int, shape: tuple[int, ...], dtype: str) -> View:
    strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    return View(pointer, shape, strides, dtype)


def plan_of(
    shape: tuple[int, ...] = (2, 3, 4, 8),
    rotary_dim: int = 8,
    *,
    dtype: str = "float32",
    pointer: int = 1 << 20,
    out: int | None = None,
    layout: str = "half",
    scales: Sequence[float | View] = (),
    tuning: Tuning | None = None,
) -> Plan:
    x = compact(pointer, shape, dtype)
    target = x if out is None else compact(out, shape, dtype)
    return plan_rotary(
        [(x, target)],
        View(np.zeros(1, np.int64).ctypes.data, (), (), "int64"),
        ropelab.Spectrum(np.ones(rotary_dim // 2)),
        place=Placement("bshd", layout),
        angles="exact",
        scales=scales,
        tuning=tuning,
    )


def macros(plan: Plan) -> dict[str, Any]:
    return dict(plan.specialisation.defines)


@pytest.mark.parametrize(
    ("layout", "dtype", "head_dim", "rotary_dim", "pointer", "vector"),
    [
        ("half", "bfloat16", 128, 128, 0, 4),  # four pairs a thread, by two accesses
        ("interleaved", "bfloat16", 128, 128, 0, 8),
        ("half", "float32", 128, 128, 0, 4),
        ("half", "float64", 128, 128, 0, 2),
        ("half", "bfloat16", 96, 24, 0, 4),  # 12 pairs are 24 bytes
        ("interleaved", "bfloat16", 96, 24, 0, 8),
        ("half", "bfloat16", 128, 128, 4, 2),  # an address that is a multiple of 4 only
        ("half", "bfloat16", 127, 126, 0, 1),  # rows that lie 254 bytes apart
        ("interleaved", "bfloat16", 6, 6, 0, 2),
    ],
)
def test_the_widest_aligned_access(
    layout: str, dtype: str, head_dim: int, rotary_dim: int, pointer: int, vector: int
) -> None:
    address = (1 << 20) + pointer
    shape = (2, 300, 4, head_dim)
    plan = plan_of(shape, rotary_dim, dtype=dtype, pointer=address, layout=layout)
    assert macros(plan)["VECTOR"] == vector


@pytest.mark.parametrize(
    ("layout", "source", "target", "shift", "vector"),
    [
        ("half", "bfloat16", "float8_e4m3fn", 0, 4),
        ("interleaved", "bfloat16", "float8_e4m3fn", 0, 8),
        ("interleaved", "float32", "float8_e4m3fn", 0, 4),  # 16 bytes on the way in
        ("interleaved", "bfloat16", "float64", 0, 2),  # and on the way out
        ("half", "bfloat16", "float8_e5m2", 2, 2),  # an output at an even address only
        ("interleaved", "float64", "float8_e5m2", 1, 1),
    ],
)
def test_an_access_is_aligned_on_either_side(
    layout: str, source: str, target: str, shift: int, vector: int
) -> None:
    shape, numbers = (2, 300, 4, 96), ropelab.Spectrum(np.ones(32))
    operand = compact(1 << 20, shape, source), compact((1 << 30) + shift, shape, target)
    position, place = View(0, (), (), "int64"), Placement("bshd", layout)
    plan = plan_rotary([operand], position, numbers, place=place, angles="exact", scales=[2.0])
    found = macros(plan)
    assert found["VECTOR"] == vector
    assert (found["FORMAT"], found["OUTPUT_FORMAT"]) == (FORMATS[source], OUTPUT_FORMATS[target])
    assert plan.parameters.tensors.q.inverse_scale == 0.5
    assert found["TRIG"] == ("double" if "float64" in (source, target) else "float")


def test_the_tail_is_copied_out_of_place_only() -> None:
    shape = (2, 3, 4, 20)
    assert macros(plan_of(shape, 12))["TAIL"] == 0
    assert macros(plan_of(shape, 12, out=1 << 30))["TAIL"] == 8
    assert macros(plan_of(shape, 12, scales=[1.0]))["TAIL"] == 8  # converted, though


@pytest.mark.parametrize(
    ("layout", "head_dim", "rotary_dim", "units"),
    [
        ("half", 96, 24, (4, 4, 12)),
        ("half", 128, 64, (4, 4, 16)),
        ("half", 104, 96, (4, 4, 13)),  # half of 8 channels
        ("half", 100, 96, (2, 2, 25)),  # half of 4
        ("half", 97, 96, (1, 1, 49)),
        ("interleaved", 104, 96, (8, 4, 13)),
        ("interleaved", 100, 96, (4, 2, 25)),
        ("interleaved", 97, 96, (1, 1, 49)),
    ],
)
def test_units_end_with_the_rotated_channels_and_with_the_others(
    layout: str, head_dim: int, rotary_dim: int, units: tuple[int, int, int]
) -> None:
    plan = plan_of((2, 300, 4, head_dim), rotary_dim, dtype="bfloat16", layout=layout, out=1 << 30)
    found = macros(plan)
    assert (found["VECTOR"], found["PAIRS_HELD"], found["ACROSS"]) == units


def test_a_scale_may_lie_in_device_memory() -> None:
    plan = plan_of(scales=[View(1 << 40, (1,), (1,), "float32")])
    q = plan.parameters.tensors.q
    assert (q.scale, q.inverse_scale, macros(plan)["SCALED"]) == (1 << 40, 0.0, 1)
    assert macros(plan_of())["SCALED"] == 0
    places = [at for at, kind, i in plan.pointers if (kind, i) == ("other", 0)]
    assert places == [Tensors.q.offset + Operand.scale.offset]


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (1, 1, 500, 2), (3, 5, 7, 4098), (1, 9, 64, 512)])
def test_a_block_stays_within_its_limit(shape: tuple[int, ...]) -> None:
    for layout in ("half", "interleaved"):
        plan = plan_of(shape, shape[-1] - shape[-1] % 2 - 2 * (shape[-1] > 4000), layout=layout)
        assert 1 <= np.prod(plan.block) <= MAX_THREADS
        assert plan.block[2] <= 64


def test_a_grid_stays_within_its_limits() -> None:
    plan = plan_of((3, 2**30 + 1, 1, 2), 2)
    assert plan.block == (1, 1, 64)
    assert plan.grid == (-(-3 * (2**30 + 1) // 64), 1, 1)  # batch and sequence are one axis
    with pytest.raises(ValueError, match=r"^position_ids: expected tokens .* 2147483647 blocks"):
        plan_of((1 << 20, 1 << 20, 8, 64), 64)


@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((8, 4096, 40, 128), (16, 10, 1)),  # four heads in flight, of four pairs
        ((1, 1, 40, 128), (8, 20, 1)),  # few tokens: one head a thread, eight pairs of it
        ((1, 132, 72, 128), (8, 18, 1)),  # and blocks that share its heads evenly
        ((1, 133, 40, 128), (16, 10, 1)),
        ((8, 4096, 64, 128), (8, 16, 1)),  # or of eight, where threads are many
        ((8, 4096, 72, 256), (16, 12, 1)),  # six, or the block would be too large
        ((1, 131072, 9, 128), (16, 3, 2)),  # few heads: four pairs a thread, and whole warps
        ((8, 4096, 40, 64), (8, 8, 1)),  # five fill the warps
        ((8, 4096, 40, 96), (12, 10, 1)),
        ((8, 4096, 40, 256), (16, 10, 1)),
        ((8, 4096, 1, 2), (1, 1, 64)),
    ],
)
def test_how_threads_share_the_work(shape: tuple[int, ...], block: tuple[int, ...]) -> None:
    assert plan_of(shape, shape[-1], dtype="bfloat16").block == block


def test_a_launch_has_no_more_blocks_of_heads_than_it_may() -> None:
    plan = plan_of((1, 1, 1_400_000, 64), 64, dtype="bfloat16")
    assert plan.grid[1] == 65_535
    assert plan.block[1] == 20


def test_angles_too_wide_for_shared_memory_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^spectrum: expected .* 49152 bytes .* got 56000 bytes"):
        plan_of((1, 1, 1, 7000), 7000, dtype="float64")


def test_a_spectrum_too_wide_for_the_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^spectrum: expected .* 32764 bytes .* got .* 4096 freq"):
        plan_of((1, 1, 1, 8192), 8192)


@pytest.mark.parametrize("pairs", [1, 3, 6, 64, 600])
def test_a_table_block_stays_within_what_hardware_launches(pairs: int) -> None:
    numbers = ropelab.Spectrum(np.ones(pairs))
    ids = compact(1 << 20, (5, 1000), "int64")
    phases = plan_phases(ids, numbers, compact(1 << 30, (5, 1000, pairs), "uint64"))
    table = compact(1 << 30, (5, 1000, pairs), "float32")
    for plan in (phases, plan_cos_sin(ids, numbers, table, table, angles="exact")):
        assert np.prod(plan.block) <= MAX_THREADS
        assert plan.block[2] <= 64

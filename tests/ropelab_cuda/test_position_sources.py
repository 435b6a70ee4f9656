"""Positions that a kernel counts: the walk, whatever lies in memory, and no access beyond it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.positions import Consecutive, Packed
from ropelab_cuda.position_sources import ConsecutiveSource, OffsetSource
from ropelab_cuda.tokens import walk
from ropelab_cuda.views import View
from tests.shim.on_cpu import on_cpu

ROOT = Path(__file__).parents[2]
PAIRS = 4
SPECTRUM = ropelab.Spectrum(1.0 / np.arange(1.0, PAIRS + 1))
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
Array = NDArray[Any]


def turned(x: Array, place: Any, **options: Any) -> Array:
    with on_cpu():
        y: Array = ropelab_cuda.apply_rotary(x, place, SPECTRUM, **options)
    return y


def random(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape)


def near(actual: Array, expected: Array) -> bool:
    """Compare float64 rotations; those of positions one apart differ by far more."""
    return bool(np.abs(actual - expected).max(initial=0.0) < 1e-8)


@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (2, 1), (1, 1)])
@pytest.mark.parametrize("reorder", [False, True])
def test_the_axes_of_tokens_are_never_taken_for_one(shape: tuple[int, int], reorder: bool) -> None:
    """Whichever axis is walked first, every token finds its sequence and its place."""
    source = ConsecutiveSource(OffsetSource(0, View(64, shape[:1], (5,), "int32")))
    compact = (1, 2) if reorder else (3, 1)
    (outer, inner), (x, offsets, places) = walk(
        shape, [compact, *source.rows(shape, 1)], reorder=True
    )
    found = {
        (i * x[0] + j * x[1], i * offsets[0] + j * offsets[1], i * places[0] + j * places[1])
        for i in range(outer)
        for j in range(inner)
    }
    assert found == {
        (b * compact[0] * (shape[0] > 1) + s * compact[1] * (shape[1] > 1), 5 * b, s)
        for b in range(shape[0])
        for s in range(shape[1])
    }


@pytest.mark.shim
@pytest.mark.parametrize("dtype", INTEGERS)
def test_offsets_and_lengths_of_every_integer_type(dtype: str) -> None:
    largest = min(np.iinfo(dtype).max, 2**63 - 99)
    offset = np.array([largest, 3, 100], dtype)
    x = random(3, 4, 2, 2 * PAIRS)
    assert near(
        turned(x, Consecutive(offset)), ropelab.apply_rotary(x, Consecutive(offset), SPECTRUM)
    )
    pack = Packed(np.array([0, 5, 5, 12], dtype), offset)
    packed = x.reshape(12, 2, -1)
    wanted = ropelab.apply_rotary(packed, pack, SPECTRUM, tensor_format="thd")
    assert near(turned(packed, pack, tensor_format="thd"), wanted)


@pytest.mark.shim
@pytest.mark.parametrize(
    ("tensor_format", "axes"),
    [("bshd", (0, 1, 2, 3)), ("bhsd", (0, 2, 1, 3)), ("sbhd", (1, 0, 2, 3))],
)
@pytest.mark.parametrize("memory", ["rows", "columns"])
def test_any_order_of_axes_and_any_stride_of_offsets(
    tensor_format: str, axes: tuple[int, ...], memory: str
) -> None:
    x = random(3, 5, 2, 2 * PAIRS)
    if memory == "columns":
        x = np.ascontiguousarray(x.transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3)
    offset = np.array([0, 70_001, 0, -9, 0, 2**31 - 3])[1::2]
    view = x.transpose(axes)
    wanted = ropelab.apply_rotary(view, Consecutive(offset), SPECTRUM, tensor_format=tensor_format)
    assert near(turned(view, Consecutive(offset), tensor_format=tensor_format), wanted)


@pytest.mark.shim
@pytest.mark.parametrize("cp_size", [1, 2, 3])
def test_every_rank_of_a_pack_with_empty_sequences(cp_size: int) -> None:
    x = random(24 // cp_size, 3, 2 * PAIRS)
    bounds = np.array([0, 99, 0, 99, 12, 99, 12, 99, 24, 99, 24])[::2]  # every other number
    offset = np.array([5, -3, 8, 2**31 - 9, 1], np.int64)
    for rank in range(cp_size):
        pack = Packed(bounds, offset, cp_size, rank)
        wanted = ropelab.apply_rotary(x, pack, SPECTRUM, tensor_format="thd")
        assert near(turned(x, pack, tensor_format="thd"), wanted)


@pytest.mark.shim
def test_tokens_behind_the_last_sequence_have_position_0() -> None:
    x = random(9, 2, 2 * PAIRS)
    y = turned(x, Packed(np.array([0, 2, 6]), np.array([4, 7])), tensor_format="thd")
    ids = [4, 5, 7, 8, 9, 10, 0, 0, 0]
    assert near(y, ropelab.apply_rotary(x, ids, SPECTRUM, tensor_format="thd"))
    no_sequence = turned(x, Packed(np.array([0])), tensor_format="thd")
    assert near(no_sequence, x)


@pytest.mark.shim
def test_positions_wrap_as_integers_of_64_bits_do() -> None:
    x, offset = random(1, 2, 1, 2 * PAIRS), np.array([2**63 - 1])
    ids = np.array([2**63 - 1, -(2**63)])
    wanted = ropelab.exact_phases(ids, SPECTRUM)
    angle = wanted.astype(np.float64) * (2 * np.pi / 2**64)
    cos, sin = np.cos(angle), np.sin(angle)
    y = turned(x, Consecutive(offset))
    expected = ropelab.apply_rotary_cached(x, cos, sin)
    assert near(y, expected)


@pytest.mark.shim
@pytest.mark.parametrize("way", ["half", "interleaved"])
def test_every_rotation_takes_them_new_and_in_place(way: str) -> None:
    q, k = random(2, 3, 4, 2 * PAIRS), random(2, 3, 1, 2 * PAIRS)
    place = Consecutive(np.array([11, 2**20], np.int32))
    wanted = ropelab.apply_rotary_qk(q, k, place, SPECTRUM, layout=way)
    rope = ropelab.Rope(2 * PAIRS, layout=way)
    turned_by_rope = ropelab.rotate(rope, q, k, place)
    with on_cpu():
        new = ropelab_cuda.apply_rotary_qk(q, k, place, SPECTRUM, layout=way)
        places = [x.copy() for x in (q, k, q, k, q)]
        ropelab_cuda.apply_rotary_qk_(places[0], places[1], place, SPECTRUM, layout=way)
        ropelab_cuda.rotate_(rope, places[2], places[3], place)
        ropelab_cuda.apply_rotary_(places[4], place, SPECTRUM, layout=way)
        by_rope = ropelab_cuda.rotate(rope, q, k, place)
    for actual, expected in zip(
        (*new, *places, *by_rope),
        (*wanted, *wanted, *turned_by_rope, wanted[0], *turned_by_rope),
        strict=True,
    ):
        assert near(actual, expected)


@pytest.mark.shim
@pytest.mark.parametrize("source", ["number", "offsets", "pack"])
def test_text_on_several_axes_with_periods(source: str) -> None:
    numbers = ropelab.Spectrum(
        SPECTRUM.inv_freq, axes=np.array([0, 2, 1, 0]), periods=np.array([0, 7, 6283, 6])
    )
    x, tensor_format = random(2, 3, 2, 2 * PAIRS), "bshd"
    place: Any = {
        "number": Consecutive(-2),
        "offsets": Consecutive(np.array([90_000, -2])),
        "pack": Packed(np.array([0, 1, 6]), 3),
    }[source]
    if source == "pack":
        x, tensor_format = x.reshape(6, 2, -1), "thd"
    with on_cpu():
        y = ropelab_cuda.apply_rotary(x, place, numbers, tensor_format=tensor_format)
    assert near(y, ropelab.apply_rotary(x, place, numbers, tensor_format=tensor_format))


# Nothing that may lie in memory is believed: bounds that fall, are huge or negative, and offsets.
WILD = """
import numpy as np
import ropelab, ropelab_cuda
from ropelab.positions import Consecutive, Packed
from tests.shim.on_cpu import on_cpu

numbers = ropelab.Spectrum([1.0, 0.5])
generator = np.random.default_rng(0)
x = np.ones((7, 2, 4), np.float32)
table = np.ones((5, 2), np.float32)
limits = np.iinfo(np.int64)
with on_cpu(sanitize=True):
    for trial in range(200):
        bounds, offset = (
            generator.choice([0, -1, 1, 3, 7, 8, limits.min, limits.max, limits.max // 3], n)
            for n in (5, 4)
        )
        size = int(generator.integers(1, 9))
        pack = Packed(bounds, offset, size, int(generator.integers(size)))
        options = {"tensor_format": "thd"}
        y = ropelab_cuda.apply_rotary(x, pack, numbers, **options)
        assert np.isfinite(y).all()
        for place in (pack, Consecutive(offset[:1])):
            y = ropelab_cuda.apply_rotary_cached(
                x, table, table, position_ids=place, overrun="clamp", **options
            )
            assert np.isfinite(y).all()
print("clean")
if PLANTED:
    with on_cpu(sanitize=True):
        short = np.lib.stride_tricks.as_strided(np.zeros(2, np.int64), (9,), (8,))
        ropelab_cuda.apply_rotary(x, Packed(short), numbers, **options)
"""


@pytest.mark.shim
@pytest.mark.parametrize("planted", [False, True])
def test_whatever_lies_in_memory_nothing_is_read_beyond_it(planted: bool) -> None:
    asan = subprocess.run(
        ["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    outcome = subprocess.run(
        [sys.executable, "-c", f"PLANTED = {planted}\n{WILD}"],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": asan.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "clean" in outcome.stdout, outcome.stderr
    assert ("AddressSanitizer: heap-buffer-overflow" in outcome.stderr) == planted
    assert (outcome.returncode == 0) == (not planted), outcome.stderr

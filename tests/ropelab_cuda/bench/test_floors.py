"""Bytes and instructions: how long they take at least, of which kernels, and the page of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ropelab_cuda.bench.counting import Count
from ropelab_cuda.bench.floor_cases import Case, cases
from ropelab_cuda.bench.floors import as_markdown
from ropelab_cuda.bench.limits import PIPES, Floor, pipe_of

ROOT = Path(__file__).parents[3]
CASES = {case.name: case for case in cases()}
Q, K = 8 * 4096 * 32 * 128 * 2, 8 * 4096 * 8 * 128 * 2  # bytes of bfloat16
POSITIONS, SLOTS = 4096 * 8, 8 * 4096 * 8


def test_every_kernel_has_a_floor() -> None:
    kernels = {path.stem for path in (ROOT / "ropelab_cuda" / "kernels").glob("*.cu")}
    assert {case.plan.specialisation.kernel for case in CASES.values()} == kernels


@pytest.mark.parametrize(
    ("name", "read", "written"),
    [
        ("rotary, exact, half", Q + K + POSITIONS, Q + K),
        ("rotary, float32, interleaved", Q + K + POSITIONS, Q + K),
        ("rotary, in place, 64 of 128 channels", (Q + K) // 2 + POSITIONS, (Q + K) // 2),
        ("rotary_cached, float32 tables", Q + K + 2 * 4096 * 64 * 4, Q + K),
        ("rotary_cached, indexed", Q + K + POSITIONS + 2 * 4096 * 64 * 4, Q + K),
        ("rotary_xpos", Q + K + POSITIONS, Q + K),
        ("rotary_kv_cache", Q + 2 * K + POSITIONS + SLOTS, Q + 2 * K),
        ("norm_rotary, head by head", Q + K + POSITIONS + 2 * 128 * 2, Q + K),
        ("norm_rotary, across heads", Q + K + POSITIONS + 40 * 128 * 2, Q + K),
        ("permute", Q, Q),
        ("cos_sin_table, exact, float32", 131_072 * 8, 2 * 131_072 * 64 * 4),
        ("phases", 131_072 * 8, 131_072 * 64 * 8),
        ("largest_positions", 131_072 * 8, 32 * 8),
        ("length_spectrum", 32 * 8, 8 + 8 + 64 * (8 + 8 + 8 + 4)),
    ],
)
def test_bytes(name: str, read: int, written: int) -> None:
    assert (CASES[name].read, CASES[name].written) == (read, written)


@pytest.mark.parametrize(
    ("opcode", "pipe"),
    [
        ("IADD3.X", "integers"),
        ("ULOP3.LUT", "integers"),
        ("IMAD.MOV.U32", "IMAD"),
        ("FFMA.FTZ", "fp32"),
        ("DSETP.GEU.AND", "fp64"),
        ("MUFU.RSQ", "roots, 64-bit conversions"),
        ("I2F.F64.S64", "roots, 64-bit conversions"),
        ("F2F.F32.F64", "roots, 64-bit conversions"),
        ("I2FP.F32.S32", ""),
        ("F2FP.BF16.F32.PACK_AB", ""),
        ("STG.E.128", "memory"),
        ("ULDC.64", ""),
        ("FSEL", ""),
    ],
)
def test_pipes(opcode: str, pipe: str) -> None:
    assert pipe_of(opcode) == pipe


def floor(blocks: int, **opcodes: int) -> Floor:
    """Return the floor of the first case, with so many instructions of all warps."""
    return Floor(CASES["rotary, exact, half"], Count(blocks, 4 * blocks, Counter(opcodes), 0))


def test_seconds() -> None:
    found = floor(1000, FFMA=10**8, DFMA=10**8, MUFU=10**7)
    assert found.seconds_of_bytes == pytest.approx(2 * (Q + K) / 4.8e12, rel=1e-4)
    assert found.seconds_of_copy == pytest.approx(158e-6, rel=1e-3)
    assert found.seconds_of_issue == pytest.approx(2.1e8 / (132 * 4 * 1.98e9))
    assert found.busiest[0] == "fp64"  # half the rate of fp32
    assert found.busiest[1] == pytest.approx(1e8 * 32 / (132 * 64 * 1.98e9))


def test_roots_are_eight_times_slower_than_fp32() -> None:
    pipe, seconds = floor(1000, FFMA=8 * 10**7 - 8, MUFU=10**7).busiest
    assert pipe == "roots, 64-bit conversions"
    assert seconds == pytest.approx(1e7 * 32 / (132 * 16 * 1.98e9))


def test_few_blocks_leave_multiprocessors_idle() -> None:
    assert floor(33, FFMA=10**6).seconds_of_issue == pytest.approx(1e6 / (33 * 4 * 1.98e9))


@pytest.mark.parametrize(
    ("blocks", "instructions", "limit"),
    [
        (1000, 10**8, "bytes"),
        (100, 10**6, "bytes"),
        (1000, 15 * 10**7, "bytes, nearly issue, nearly fp32"),
        (1000, 10**9, "issue, nearly fp32"),
        (100, 10**9, "issue, nearly fp32, on few multiprocessors"),
    ],
)
def test_limits(blocks: int, instructions: int, limit: str) -> None:
    assert floor(blocks, FFMA=instructions).limit == limit


def test_nothing_is_shorter_than_a_launch() -> None:
    small = Floor(CASES["length_spectrum"], Count(1, 2, Counter(DFMA=500), 3))
    assert small.limit == "the launch"


def test_the_page_lists_every_case_with_its_bytes() -> None:
    page = (ROOT / "docs" / "floors.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| ")]
    listed = dict(row for row in rows if row[0].removeprefix("| ") in CASES)
    tables = page.split("## What is issued")
    assert len(tables) == 2
    for name, case in CASES.items():
        assert f"\n| {name} | {case.moved_bytes / 1e6:.4g} | " in tables[0]
        assert f"\n| {name} | " in tables[1]
    assert len(listed) == len(CASES)


def test_the_page_around_its_tables_is_what_is_written() -> None:
    page = (ROOT / "docs" / "floors.md").read_text(encoding="utf-8")
    made = as_markdown([_some(case) for case in CASES.values()], "NVRTC 13.5")
    prose = [
        [line for line in text.splitlines() if not line.startswith("| ")] for text in (page, made)
    ]
    assert prose[0] == prose[1]


def _some(case: Case) -> Floor:
    return Floor(case, Count(1, 1, Counter(dict.fromkeys(("FFMA", "BRA"), 5)), 0))


def test_shares_add_up() -> None:
    found = floor(7, FFMA=1, BRA=2, IMAD=4, LDG=8).by_pipe
    assert sum(found.values()) == 15
    assert set(found) == {*PIPES, ""}

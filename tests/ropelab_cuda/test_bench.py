"""The benchmark's arithmetic, its tables, and the check before it times anything; without a GPU."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ropelab
from ropelab_cuda.bench import __main__ as program
from ropelab_cuda.bench import peers
from ropelab_cuda.bench.candidates import (
    FLOAT32,
    ROUNDED_ONCE,
    ROUNDED_THRICE,
    Candidate,
    worst_error,
)
from ropelab_cuda.bench.inputs import Inputs, Pair
from ropelab_cuda.bench.report import as_json, as_markdown, as_text
from ropelab_cuda.bench.results import COMPILED, COPY, IN_PLACE, OURS, Measurement, Result, verdict
from ropelab_cuda.bench.timing import Timing, summarise
from ropelab_cuda.bench.workloads import BAR, TIMES_L2, WORKLOADS, Cycle, Workload, cycle_for
from tests.models.small_llama import from_numpy

H200_L2, H200_FREE = 60 << 20, 138 << 30

# Workloads and the bytes of q and k, read and written, as counted by hand.
COUNTED = [
    (Workload(8, 4096, 32, 8), 8 * 4096 * 40 * 128 * 2 * 2),
    (Workload(8, 4096, 64, 8), 1_207_959_552),
    (Workload(1, 4096, 32, 8), 83_886_080),
    (Workload(1, 131_072, 8, 1), 603_979_776),
    (Workload(1, 1, 32, 8), 20_480),
    (Workload(8, 4096, 32, 8, dtype="float32"), 2 * 671_088_640),
    (Workload(8, 4096, 32, 8, head_dim=64), 671_088_640 // 2),
]


@pytest.mark.parametrize(("workload", "moved"), COUNTED, ids=str)
def test_every_element_is_counted_once_in_and_once_out(workload: Workload, moved: int) -> None:
    assert workload.moved_bytes == moved


def test_the_bar_is_measured_first() -> None:
    assert WORKLOADS[0] == BAR == Workload(8, 4096, 32, 8, head_dim=128, dtype="bfloat16")


@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_inputs_exceed_the_cache_where_a_graph_can_hold_so_many(workload: Workload) -> None:
    cycle = cycle_for(workload, H200_L2, H200_FREE)
    assert cycle.sets >= 2
    assert cycle.calls % cycle.sets == 0
    assert cycle.times_l2 == cycle.sets * workload.moved_bytes / 2 / H200_L2
    assert cycle.times_l2 >= TIMES_L2 or workload == Workload(1, 1, 32, 8)


def test_sets_do_not_exceed_memory() -> None:
    small = cycle_for(Workload(256, 1, 32, 8), H200_L2, free_bytes=64 << 20)
    assert small.sets == (64 << 20) // 4 // Workload(256, 1, 32, 8).moved_bytes


def test_times_are_summarised_by_order_statistics() -> None:
    shuffled = [float(number * 7 % 101) for number in range(101)]
    assert summarise(shuffled) == Timing(median=50.0, p10=10.0, p90=90.0)


# ------------------------------------------------------------------------------------------------

SMALL = Workload(2, 5, 3, 2, head_dim=16)


def specified(inputs: Inputs, layout: str, shift: int = 0) -> Callable[[Pair], Any]:
    """Return the specification in place of the kernels, perhaps at wrong positions."""

    def rotate(pair: Pair) -> Any:
        positions = inputs.position_ids + shift
        rotated = ropelab.apply_rotary_qk(pair.q, pair.k, positions, inputs.spectrum, layout=layout)
        return [from_numpy(array) for array in rotated]

    return rotate


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("shape", [(2, 5), (3, 1)], ids=["prefill", "decode"])
def test_right_results_pass_the_check(shape: tuple[int, int], layout: str, dtype: str) -> None:
    inputs = Inputs(Workload(*shape, 3, 2, head_dim=16, dtype=dtype), 1, device="cpu")
    ours = Candidate(OURS, layout, specified(inputs, layout))
    assert 0.0 < worst_error(ours, inputs) <= ROUNDED_ONCE
    cos, sin = inputs.tables[layout]
    rotate = peers.formula(layout)
    peer = Candidate("peer", layout, lambda pair: rotate(pair.q, pair.k, cos, sin), "float32")
    limit = FLOAT32 if dtype == "float32" else ROUNDED_THRICE
    assert ROUNDED_ONCE < worst_error(peer, inputs) <= limit


def test_wrong_results_do_not() -> None:
    inputs = Inputs(SMALL, 1, device="cpu")
    late = Candidate(OURS, "half", specified(inputs, "half", shift=1))
    mistaken = Candidate(OURS, "half", specified(inputs, "interleaved"))
    lost = Candidate(OURS, "half", lambda pair: (pair.q * math.nan, pair.k))
    untouched = Candidate(OURS, "half", lambda pair: (pair.q, pair.k))
    for wrong in (late, mistaken, lost, untouched):
        assert worst_error(wrong, inputs) > 10 * ROUNDED_THRICE
    copy = Candidate(COPY, "", lambda pair: pair.block.clone())
    assert worst_error(copy, inputs) == 0.0
    assert worst_error(replace(copy, call=lambda pair: -pair.block), inputs) == math.inf


def test_the_check_leaves_the_inputs_alone() -> None:
    inputs = Inputs(SMALL, 1, device="cpu")
    before = inputs.sets[0].block.clone()
    worst_error(Candidate(IN_PLACE, "half", lambda pair: (pair.q.zero_(), pair.k.zero_())), inputs)
    assert torch.equal(inputs.sets[0].block, before)


@pytest.mark.parametrize("workload", [SMALL, Workload(4, 1, 3, 2)], ids=str)
def test_positions_end_where_angles_are_large(workload: Workload) -> None:
    positions = Inputs(workload, 1, device="cpu").position_ids
    assert int(positions.max()) == 131_071
    assert len(set(positions.flatten().tolist())) == positions.numel()


# ------------------------------------------------------------------------------------------------


def measurement(**times: float | None) -> Measurement:
    """Return the bar's measurement with times by row; 100 microseconds for the others."""

    def result(name: str, layout: str, key: str) -> Result:
        median = times.get(key, 100.0)
        timing = None if median is None else Timing(median, median - 1.0, median + 1.0)
        return Result(name, layout, 0.5, timing, None if timing is None else 7.25)

    rows = [result(COPY, "", "copy")]
    for layout in ("half", "interleaved"):
        rows += [result(OURS, layout, "ours"), result(IN_PLACE, layout, "in_place")]
        rows += [result(COMPILED, layout, "compiled")]
    return Measurement(BAR, Cycle(sets=2, calls=12, times_l2=10.7), 6.9, tuple(rows))


def test_ratios_say_how_many_times_faster() -> None:
    measured = measurement(copy=90.0, ours=100.0, compiled=150.0)
    ours = measured.results[1]
    assert measured.of_copy(ours) == pytest.approx(0.9)
    assert measured.of_compiled(ours) == pytest.approx(1.5)
    assert measured.bandwidth(ours) == pytest.approx(6.7108864)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param({"copy": 95.0}, True, id="as fast as torch.compile"),
        pytest.param({"copy": 95.0, "compiled": 99.5}, True, id="slower within the noise"),
        pytest.param({"copy": 95.0, "compiled": 98.0}, False, id="slower"),
        pytest.param({"copy": 92.0}, False, id="far from the copy"),
        pytest.param({"ours": None, "in_place": None}, False, id="wrong"),
        pytest.param({"compiled": None}, False, id="torch.compile wrong"),
    ],
)
def test_the_bar(times: dict[str, float | None], expected: bool) -> None:
    judged = verdict(measurement(**times))
    assert [holds for _, holds in judged] == [expected] * 4


def test_a_text_table_is_aligned() -> None:
    heading, *lines = as_text(measurement(copy=95.0, compiled=1234.5)).splitlines()
    assert heading.startswith("8x4096 tokens, 32/8 heads of 128, bfloat16: 671.1 MB moved")
    assert len(lines) == 1 + 7
    column = lines[0].index("of copy") + len("of copy")
    assert [line[:column].split()[-1] for line in lines[2:4]] == ["0.950", "0.950"]
    assert all(line[column : column + 1] in (" ", "") for line in lines)


def test_a_wrong_result_is_shown_without_a_time() -> None:
    lines = as_text(measurement(compiled=None)).splitlines()
    rows = [line.split() for line in lines if line.startswith(COMPILED)]
    assert rows[0] == [COMPILED, "half", "wrong", "0.50"]


def test_markdown_tables_have_as_many_cells_in_each_row() -> None:
    page = as_markdown({"card": "a card"}, [measurement(), measurement(ours=None)])
    assert page.startswith("- card: a card\n\n### 8x4096 tokens")
    cells = [line.count("|") for line in page.splitlines() if line.startswith("|")]
    assert len(cells) == 2 * (2 + 7)
    assert len(set(cells)) == 1


def test_json_holds_the_ratios() -> None:
    written = json.loads(as_json({"card": "a card"}, [measurement(copy=95.0)]))
    [measured] = written["measurements"]
    assert measured["moved_bytes"] == BAR.moved_bytes
    assert measured["results"][1]["device"] == {"median": 100.0, "p10": 99.0, "p90": 101.0}
    assert measured["results"][1]["of_copy"] == 0.95


# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "status"), [({"copy": 95.0}, 0), ({"copy": 50.0}, 1), ({"ours": None}, 1)]
)
def test_the_program_prints_writes_and_judges(
    times: dict[str, float | None],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(program, "environment", lambda: {"card": "a card"})
    monkeypatch.setattr(program, "measure", lambda _: measurement(**times))
    files = [tmp_path / "bench.json", tmp_path / "bench.md"]
    options = ["--quick", "--json", str(files[0]), "--markdown", str(files[1])]
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    assert program.main() == status
    assert "a card" in capsys.readouterr().out
    assert all("a card" in file.read_text("utf-8") for file in files)


def test_the_program_says_that_it_needs_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["bench"])
    with pytest.raises(SystemExit):
        program.main()
    assert "CUDA device" in capsys.readouterr().err

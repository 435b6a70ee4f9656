"""Workloads, and the program from end to end with nothing measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from ropelab_cuda.bench import __main__ as program
from ropelab_cuda.bench.host import MUL, HostTime
from ropelab_cuda.bench.results import IN_PLACE
from ropelab_cuda.bench.timing import Timing, summarise
from ropelab_cuda.bench.workloads import (
    BAR,
    DECODE,
    PREFILL,
    TIMES_L2,
    WORKLOADS,
    Workload,
    cycle_for,
)
from tests.ropelab_cuda.bench.measurements import measurement

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
    assert len(set(WORKLOADS)) == len(WORKLOADS)


def test_prefill_covers_heads_and_widths_wherever_80_megabytes_move() -> None:
    assert {(w.q_heads, w.k_heads) for w in PREFILL} == {(32, 8), (64, 8), (32, 32)}
    assert {w.head_dim for w in PREFILL} == {64, 96, 128, 256}
    assert {(w.batch, w.sequence) for w in PREFILL} == {(8, 4096), (1, 4096), (1, 131_072)}
    assert min(w.moved_bytes for w in PREFILL) >= 80e6
    assert Workload(1, 4096, 32, 8) in PREFILL
    assert Workload(1, 4096, 32, 8, head_dim=64) not in PREFILL


@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_inputs_exceed_the_cache_where_a_graph_can_hold_so_many(workload: Workload) -> None:
    cycle = cycle_for(workload, H200_L2, H200_FREE)
    assert cycle.sets >= 2
    assert cycle.calls % cycle.sets == 0
    assert cycle.times_l2 == cycle.sets * workload.moved_bytes / 2 / H200_L2
    if workload in DECODE[1:]:  # too small, so all stays inside, with the outputs
        assert 2 * cycle.times_l2 < 1 / 2
    else:
        assert cycle.times_l2 >= TIMES_L2


def test_sets_do_not_exceed_memory() -> None:
    small = cycle_for(Workload(256, 1, 32, 8), H200_L2, free_bytes=64 << 20)
    assert small.sets == (64 << 20) // 4 // Workload(256, 1, 32, 8).moved_bytes


def test_times_are_summarised_by_order_statistics() -> None:
    shuffled = [float(number * 7 % 101) for number in range(101)]
    assert summarise(shuffled) == Timing(median=50.0, p10=10.0, p90=90.0)


# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("times", "status"), [({"copy": 95.0}, 1), ({"ours": None}, 1)])
def test_the_program_prints_writes_and_judges(
    times: dict[str, float | None],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(program, "environment", lambda: {"card": "a card"})
    monkeypatch.setattr(program, "measure", lambda *_: measurement(**times))
    rows = [HostTime(MUL, 7.0, 1.0), HostTime(IN_PLACE, 8.4, 1.2)]
    monkeypatch.setattr(program, "measure_host", lambda: {"torch.no_grad": rows})
    files = [tmp_path / "bench.json", tmp_path / "bench.md"]
    options = ["--quick", "--json", str(files[0]), "--markdown", str(files[1])]
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    assert program.main() == status
    printed = capsys.readouterr().out
    assert ("WRONG" in printed) == ("ours" in times)
    assert "bars hold" in printed
    assert all("a card" in file.read_text("utf-8") for file in files)


def test_what_there_is_no_time_for_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(program, "environment", lambda: {"card": "a card"})
    monkeypatch.setattr(program, "measure_host", lambda: {"torch.no_grad": []})
    monkeypatch.setattr(sys, "argv", ["bench", "--seconds", "-1"])
    assert program.main() == 1
    printed = capsys.readouterr().out
    assert printed.count("left out for want of time") == len(WORKLOADS)
    assert "0 of" in printed


def test_the_program_says_that_it_needs_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["bench"])
    with pytest.raises(SystemExit):
        program.main()
    assert "CUDA device" in capsys.readouterr().err

"""Tables for people, and JSON for programs."""

from __future__ import annotations

import json

from ropelab_cuda.bench.bars import verdicts
from ropelab_cuda.bench.host import MUL, HostTime
from ropelab_cuda.bench.report import Report, as_json, as_markdown, measurement_as_text
from ropelab_cuda.bench.results import COMPILED, IN_PLACE
from ropelab_cuda.bench.workloads import BAR
from tests.ropelab_cuda.bench.measurements import measurement


def report(**times: float | None) -> Report:
    measured = [measurement(**times)]
    rows = [HostTime(MUL, 7.0, 1.0), HostTime(IN_PLACE, 8.4, 1.2)]
    return Report(
        {"card": "a card"}, {"no_grad": rows}, measured, ["a workload"], verdicts(measured)
    )


def test_a_text_table_is_aligned() -> None:
    heading, *lines = measurement_as_text(measurement(copy=95.0, compiled=1234.5)).splitlines()
    assert heading.startswith("8x4096 tokens, 32/8 heads of 128, bfloat16: 671.1 MB moved")
    assert len(lines) == 1 + 11
    column = lines[0].index("of copy") + len("of copy")
    assert [line[:column].split()[-1] for line in lines[3:5]] == ["0.950", "0.950"]
    assert all(line[column : column + 1] in (" ", "") for line in lines)


def test_a_wrong_result_is_shown_without_a_time() -> None:
    lines = measurement_as_text(measurement(compiled=None)).splitlines()
    rows = [line.split() for line in lines if line.startswith(COMPILED)]
    assert rows[0] == [COMPILED, "half", "forward", "wrong", "0.50"]


def test_markdown_tables_have_as_many_cells_in_each_row() -> None:
    page = as_markdown(report(ours=None))
    assert page.startswith("- card: a card\n\n## Bars\n")
    assert "Left out for want of time: a workload." in page
    widths: dict[int, int] = {}
    for line in page.splitlines():
        if line.startswith("|"):
            widths[line.count("|")] = widths.get(line.count("|"), 0) + 1
    assert widths == {6: 2 + len(report().verdicts), 4: 2 + 2, 10: 2 + 11}


def test_json_holds_the_ratios() -> None:
    written = json.loads(as_json(report(copy=95.0, liger=99.0)))
    [measured] = written["measurements"]
    assert measured["moved_bytes"] == BAR.moved_bytes
    row = measured["results"][2]
    assert row["device"] == {"median": 100.0, "p10": 99.0, "p90": 101.0}
    assert (row["of_copy"], row["of_best_peer"]) == (0.95, 0.99)
    assert row["best_peer"] == "Liger, in place"
    assert written["host"]["no_grad"][1]["of_mul"] == 1.2
    assert written["verdicts"][0]["value"] == 0.99

"""From measurements to tables for people and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .bars import Verdict
from .host import HostTime
from .results import Measurement, Result

__all__ = [
    "Report",
    "Table",
    "aligned",
    "as_json",
    "as_markdown",
    "host_as_text",
    "markdown",
    "measurement_as_text",
    "verdicts_as_text",
]

Table = list[tuple[str, ...]]  # headings first

HEADINGS = (
    *("", "layout", "way", "μs", "p10 to p90", "TB/s"),
    *("of copy", "× best peer", "error, eps"),
)
HOST_HEADINGS = ("", "μs", "× torch.mul")
VERDICT_HEADINGS = ("bar", "", "value", "bound", "")


@dataclass
class Report:
    """Everything that one run has found.

    Parameters
    ----------
    environment : mapping of str to str
        What it was measured on, with, and when.
    host : mapping of str to list of HostTime
        By context.
    measurements : list of Measurement
        One a workload.
    left_out : list of str
        Workloads for which no time was left.
    verdicts : list of Verdict
        Bars.
    seconds : float
        That the run took.
    """

    environment: Mapping[str, str]
    host: Mapping[str, list[HostTime]] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0

    def write(self, path: Path | None, form: Callable[[Report], str]) -> None:
        """Write it to a file, if one is named."""
        if path is not None:
            path.write_text(form(self), encoding="utf-8")


def _rows(measurement: Measurement) -> Table:
    return [HEADINGS, *(_row(measurement, result) for result in measurement.results)]


def _row(measurement: Measurement, result: Result) -> tuple[str, ...]:
    timing = result.device
    return (
        result.name,
        result.layout,
        ("backward" if result.backward else "forward") if result.layout else "",
        f"{timing.median:.2f}" if timing else result.note or "wrong",
        f"{timing.p10:.2f} to {timing.p90:.2f}" if timing else "",
        _number(measurement.bandwidth(result), 2),
        _number(measurement.of_copy(result), 3),
        _number(measurement.of_best_peer(result), 3) if result.is_ours else "",
        _number(result.error, 2) if result.layout else "",
    )


def _host_rows(times: Sequence[HostTime]) -> Table:
    rows = ((t.name, f"{t.microseconds:.2f}", f"{t.of_mul:.2f}") for t in times)
    return [HOST_HEADINGS, *rows]


def _verdict_rows(verdicts: Sequence[Verdict]) -> Table:
    return [
        VERDICT_HEADINGS,
        *(
            (
                verdict.bar,
                verdict.subject,
                f"{verdict.value:.3f}" if verdict.value is not None else "not measured",
                f"{'≥' if verdict.at_least else '≤'} {verdict.bound:g} {verdict.unit}",
                "holds" if verdict.holds else "MISSES",
            )
            for verdict in verdicts
        ),
    ]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _heading(measurement: Measurement) -> str:
    """Return the line above a table."""
    cycle = measurement.cycle
    return (
        f"{measurement.workload}: {measurement.workload.moved_bytes / 1e6:.4g} MB moved; "
        f"{cycle.sets} sets of inputs, {cycle.times_l2:.2g} × L2; {cycle.calls} calls a graph"
    )


def aligned(table: Table, left: int) -> str:
    """Align a table: so many columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def measurement_as_text(measurement: Measurement) -> str:
    """Return an aligned table: names to the left, numbers to the right."""
    return f"{_heading(measurement)}\n{aligned(_rows(measurement), 3)}"


def host_as_text(host: Mapping[str, Sequence[HostTime]]) -> str:
    """Return an aligned table for each context."""
    return "\n\n".join(
        f"Host, one token, {context}\n{aligned(_host_rows(times), 1)}"
        for context, times in host.items()
    )


def verdicts_as_text(report: Report) -> str:
    """Return an aligned table of the bars, and how many hold."""
    holding = sum(verdict.holds for verdict in report.verdicts)
    lines = [
        aligned(_verdict_rows(report.verdicts), 2),
        f"{holding} of {len(report.verdicts)} bars hold; {report.seconds:.0f} s",
        *(f"left out for want of time: {workload}" for workload in report.left_out),
    ]
    return "\n".join(lines)


def as_markdown(report: Report) -> str:
    """Return a page of all tables.

    Parameters
    ----------
    report : Report
        What was found.

    Returns
    -------
    str
        Markdown.
    """
    parts = ["\n".join(f"- {name}: {value}" for name, value in report.environment.items())]
    if report.verdicts:
        parts.append(f"## Bars\n\n{markdown(_verdict_rows(report.verdicts), 2)}")
        parts += [f"Left out for want of time: {workload}." for workload in report.left_out]
    for context, times in report.host.items():
        parts.append(f"## Host time of a call, {context}\n\n{markdown(_host_rows(times), 1)}")
    parts.append("## Device time")
    for measurement in report.measurements:
        title, _, details = _heading(measurement).partition(": ")
        parts.append(f"### {title}\n\n{details}.\n\n{markdown(_rows(measurement), 3)}")
    return "\n\n".join(parts) + "\n"


def markdown(table: Table, left: int) -> str:
    """Return a table in Markdown: so many columns to the left, the others to the right."""
    first, *others = table
    ruler = tuple("---" if column < left else "--:" for column in range(len(first)))
    return "\n".join("| " + " | ".join(row) + " |" for row in (first, ruler, *others))


def as_json(report: Report) -> str:
    """Return everything that the tables show, and the ratios unrounded.

    Parameters
    ----------
    report : Report
        What was found.

    Returns
    -------
    str
        JSON.
    """
    content = {
        "environment": dict(report.environment),
        "unit": "microseconds a call",
        "seconds": report.seconds,
        "verdicts": [asdict(verdict) for verdict in report.verdicts],
        "left_out": report.left_out,
        "host": {name: [asdict(time) for time in times] for name, times in report.host.items()},
        "measurements": [_as_dict(measurement) for measurement in report.measurements],
    }
    return json.dumps(content, indent=1)


def _as_dict(measurement: Measurement) -> dict[str, Any]:
    return {
        "workload": asdict(measurement.workload),
        "moved_bytes": measurement.workload.moved_bytes,
        "cycle": asdict(measurement.cycle),
        "results": [
            asdict(result)
            | {
                "terabytes_per_second": measurement.bandwidth(result),
                "of_copy": measurement.of_copy(result),
                "of_best_peer": measurement.of_best_peer(result) if result.is_ours else None,
                "best_peer": peer.name
                if result.is_ours and (peer := measurement.best_peer(result))
                else None,
            }
            for result in measurement.results
        ],
    }

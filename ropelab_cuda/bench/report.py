"""From measurements to tables for people and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .results import Measurement, Result

__all__ = ["as_json", "as_markdown", "as_text"]

HEADINGS = (
    "",
    "layout",
    "μs",
    "p10 to p90",
    "TB/s",
    "of copy",
    "× compile",
    "host μs",
    "error, eps",
)


def _rows(measurement: Measurement) -> list[tuple[str, ...]]:
    """Return the cells of a table, headings first."""
    return [HEADINGS, *(_row(measurement, result) for result in measurement.results)]


def _row(measurement: Measurement, result: Result) -> tuple[str, ...]:
    timing = result.device
    return (
        result.name,
        result.layout,
        f"{timing.median:.2f}" if timing else "wrong",
        f"{timing.p10:.2f} to {timing.p90:.2f}" if timing else "",
        _number(measurement.bandwidth(result), 2),
        _number(measurement.of_copy(result), 3),
        _number(measurement.of_compiled(result), 3),
        _number(result.host, 1),
        _number(result.error, 2) if result.layout else "",
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _heading(measurement: Measurement) -> str:
    """Return the line above a table."""
    cycle = measurement.cycle
    return (
        f"{measurement.workload}: {measurement.workload.moved_bytes / 1e6:.4g} MB moved; "
        f"{cycle.sets} sets of inputs, {cycle.times_l2:.2g} × L2; {cycle.calls} calls a graph; "
        f"torch.mul takes the host {measurement.mul_host:.1f} μs"
    )


def as_text(measurement: Measurement) -> str:
    """Return an aligned table: names to the left, numbers to the right."""
    table = _rows(measurement)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    return "\n".join([_heading(measurement), *lines])


def as_markdown(environment: Mapping[str, str], measurements: Sequence[Measurement]) -> str:
    """Return a page of all tables.

    Parameters
    ----------
    environment : mapping of str to str
        What it was measured on, with, and when.
    measurements : sequence of Measurement
        One a table.

    Returns
    -------
    str
        Markdown.
    """
    parts = ["\n".join(f"- {name}: {value}" for name, value in environment.items())]
    for measurement in measurements:
        first, *others = _rows(measurement)
        ruler = ("---", "---", *("--:" for _ in first[2:]))
        table = "\n".join("| " + " | ".join(row) + " |" for row in (first, ruler, *others))
        title, _, details = _heading(measurement).partition(": ")
        parts.append(f"### {title}\n\n{details}.\n\n{table}")
    return "\n\n".join(parts) + "\n"


def as_json(environment: Mapping[str, str], measurements: Sequence[Measurement]) -> str:
    """Return everything that the tables show, and the ratios unrounded.

    Parameters
    ----------
    environment : mapping of str to str
        What it was measured on, with, and when.
    measurements : sequence of Measurement
        One a workload.

    Returns
    -------
    str
        JSON.
    """
    return json.dumps(
        {
            "environment": dict(environment),
            "unit": "microseconds a call",
            "measurements": [_as_dict(measurement) for measurement in measurements],
        },
        indent=1,
    )


def _as_dict(measurement: Measurement) -> dict[str, Any]:
    return {
        "workload": asdict(measurement.workload),
        "moved_bytes": measurement.workload.moved_bytes,
        "cycle": asdict(measurement.cycle),
        "torch_mul_host": measurement.mul_host,
        "results": [
            asdict(result)
            | {
                "terabytes_per_second": measurement.bandwidth(result),
                "of_copy": measurement.of_copy(result),
                "of_torch_compile": measurement.of_compiled(result),
            }
            for result in measurement.results
        ],
    }

"""Write the tables of docs/performance.md from the last run of the benchmark that is kept.

python -m docs.performance
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["page"]

HERE = Path(__file__).parent
PAGE = HERE / "performance.md"
END = "<!-- end -->"

OURS, IN_PLACE, COPY = "ropelab", "ropelab, in place", "device copy"
COLUMNS = (
    *((OURS, "half"), (OURS, "interleaved"), (IN_PLACE, "half"), (IN_PLACE, "interleaved")),
    *(("torch.compile", "half"), ("torch.compile", "interleaved"), ("Liger, in place", "half")),
)
HOST = {"torch.no_grad": "no_grad", "q and k require grad": "q and k require grad"}


def page() -> str:
    """Return the page with the tables of the run."""
    text = PAGE.read_text("utf-8")
    run, fused = _kept("h200-*[0-9].json"), _kept("h200-*-neighbours.json")
    tables = {"rows": _rows(run), "missed": _missed(run), "host": _host(run)}
    for name, lines in {**tables, "neighbours": _neighbours(fused)}.items():
        begin = f"<!-- {name}, by docs/performance.py -->\n"
        before, marked, rest = text.partition(begin)
        assert marked, name
        text = before + begin + "\n".join((*lines, END)) + rest.partition(END)[2]
    return text


def _kept(pattern: str) -> dict[str, Any]:
    """Return the last run of a kind."""
    kept = sorted(HERE.glob(f"measurements/{pattern}"))[-1]
    run: dict[str, Any] = json.loads(kept.read_text("utf-8"))
    return run


def _rows(run: Mapping[str, Any]) -> Iterator[str]:
    heads = [name if name != OURS else "ropelab" for name, _ in COLUMNS]
    titles = [f"{name}, {layout}" for name, (_, layout) in zip(heads, COLUMNS, strict=True)]
    yield f"| tokens, heads | copy | {' | '.join(titles)} |"
    yield "| --- |" + " --: |" * (1 + len(COLUMNS))
    for measured in run["measurements"]:
        times = {
            (row["name"], row["layout"]): row["device"]["median"]
            for row in measured["results"]
            if row["device"] and not row["backward"]
        }
        copy = min(time for (name, _), time in times.items() if name.startswith(COPY))
        cells = [_cell(copy, times.get(column), column) for column in COLUMNS]
        yield f"| {_shape(measured['workload'])} | {_digits(copy)} | {' | '.join(cells)} |"


def _cell(copy: float, time: float | None, column: tuple[str, str]) -> str:
    if time is None:
        return ""
    shown = f"**{_digits(time)}**" if column[0] in (OURS, IN_PLACE) else _digits(time)
    return f"{shown} ({copy / time:.3f})"


def _digits(microseconds: float) -> str:
    return f"{microseconds:.2f}" if microseconds < 10 else f"{microseconds:.1f}"


def _shape(of: Mapping[str, Any]) -> str:
    dtype = "" if of["dtype"] == "bfloat16" else f", {of['dtype']}"
    part = f", {of['rotary_dim']} rotated" if of["rotary_dim"] else ""
    heads = f"{of['q_heads']}/{of['k_heads']} of {of['head_dim']}"
    return f"{of['batch']}×{of['sequence']}, {heads}{part}{dtype}"


def _missed(run: Mapping[str, Any]) -> Iterator[str]:
    bars = run["verdicts"]
    missed = [bar for bar in bars if not bar["holds"]]
    yield f"{len(bars) - len(missed)} of {len(bars)} bars hold{'. Missed:' if missed else '.'}"
    if missed:
        yield ""
    for bar in missed:
        yield f"- {bar['subject']}: {bar['value']:.3f} {bar['unit']}, of {bar['bound']}"


def _host(run: Mapping[str, Any]) -> Iterator[str]:
    yield "| call | torch | μs | × torch.mul |"
    yield "| --- | --- | --: | --: |"
    for context, name in HOST.items():
        for row in run["host"][context]:
            cells = row["name"], name, f"{row['microseconds']:.1f}", f"{row['of_mul']:.2f}"
            yield f"| {' | '.join(cells)} |"


def _neighbours(run: Mapping[str, Any]) -> Iterator[str]:
    yield "| operation | MB | copy | ropelab | torch.compile | × torch.compile | error, eps |"
    yield "| --- |" + " --: |" * 6
    for row in run["rows"]:
        copy, ours, peer = (row[name]["median"] for name in ("copy", "ours", "peer"))
        times = f"{copy:.1f} | **{ours:.1f}** ({copy / ours:.3f}) | {peer:.1f} ({copy / peer:.3f})"
        ends = f"{peer / ours:.2f} | {row['error']:.2f}"
        yield f"| {row['name']} | {row['moved_bytes'] / 1e6:.1f} | {times} | {ends} |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

"""``python -m ropelab_cuda.bench.neighbours``: other ways to rotate, and what is fused with it.

Norms, decay, tables and caches at one shape: 8x4096 tokens, 32/8 heads of 128, bfloat16. Beside
each the same operations as torch.compile fuses them, and a copy of the same bytes, measured as in
``python -m ropelab_cuda.bench``. Every result is compared with the specification first.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ropelab.layouts import pair_channels
from ropelab.precision import eps

from .environment import environment
from .inputs import Inputs
from .neighbour_cases import Neighbour, moved_bytes, neighbours
from .report import Table, aligned
from .timing import Timing, device_times
from .workloads import BAR, Cycle

__all__ = ["Row", "measure", "table"]

CYCLE = Cycle(2, 12, 0.0)  # as for that shape in the benchmark: far beyond the cache
PEER_TOLERANCE = 6.0  # eps: tables, the norm, products and sums are rounded each
HEADINGS = ("", "MB", "copy, μs", "ropelab, μs", "of copy", "torch.compile, μs", "×", "error, eps")


@dataclass(frozen=True)
class Row:
    """What was measured of one operation.

    Parameters
    ----------
    name : str
        Of the operation.
    moved_bytes : int
        That it must move.
    copy, ours, peer : Timing
        Of a copy of these bytes, of ours, and of torch.compile.
    error, peer_error : float
        Worst errors of a pair over its norm, in eps.
    """

    name: str
    moved_bytes: int
    copy: Timing
    ours: Timing
    peer: Timing
    error: float
    peer_error: float

    @property
    def of_copy(self) -> float:
        """The share of the copy's speed."""
        return self.copy.median / self.ours.median

    @property
    def of_peer(self) -> float:
        """How many times faster than torch.compile."""
        return self.peer.median / self.ours.median


def measure(inputs: Inputs, neighbour: Neighbour) -> Row:
    """Check an operation, then time it.

    Parameters
    ----------
    inputs : Inputs
        What is rotated.
    neighbour : Neighbour
        By what.

    Returns
    -------
    Row
        Of the table.

    Raises
    ------
    RuntimeError
        If a result is wrong or cannot be measured.
    """
    import torch

    errors = []
    for name, call, bound in (
        ("ropelab", neighbour.ours, neighbour.tolerance),
        ("torch.compile", neighbour.peer, PEER_TOLERANCE),
    ):
        errors.append(_worst_error(inputs, neighbour, call))
        if not errors[-1] <= bound:
            msg = f"{neighbour.name}, {name}: expected at most {bound} eps; got {errors[-1]:.2f}"
            raise RuntimeError(msg)
    moved = moved_bytes(inputs.workload, neighbour)
    words = (CYCLE.sets, moved // 8)
    blocks = torch.zeros(words, dtype=torch.int32, device="cuda")
    copied = torch.empty_like(blocks)

    def copy(number: int) -> Any:
        """Copy by a kernel, as the benchmark's second copy does."""
        return torch.add(blocks[number], 0, out=copied[number])

    timings = device_times([copy, neighbour.ours, neighbour.peer], CYCLE)
    for timing in timings:
        if isinstance(timing, Exception):
            msg = f"{neighbour.name}: {timing}"
            raise RuntimeError(msg) from timing
    # No exception is left among the timings.
    return Row(neighbour.name, moved, *timings, *errors)  # type: ignore[arg-type]


def _worst_error(inputs: Inputs, neighbour: Neighbour, call: Callable[[int], Any]) -> float:
    """Return the worst error of a pair over its norm, in eps, of some tokens."""
    import torch

    workload, (_, q, k) = inputs.workload, inputs.sets[0]
    lengths = workload.batch, workload.sequence
    some = np.ix_(*(sorted({0, length // 2, length - 1}) for length in lengths))

    def chosen(x: Any) -> Any:
        """Return some tokens, as float64, shape (tokens, heads, head_dim)."""
        rows, columns = (torch.as_tensor(index, device=x.device) for index in some)
        return x[rows, columns].double().cpu().numpy().reshape(-1, *x.shape[2:])

    ids = inputs.position_ids.expand(workload.batch, -1).cpu().numpy()[some].ravel()
    result = call(0)
    made = [chosen(x) for x in (neighbour.read(result) if neighbour.read else result)]
    wanted = neighbour.specified(chosen(q), chosen(k), ids)
    first, second = pair_channels("half", workload.width)
    worst = 0.0
    for actual, expected in zip(made, wanted, strict=True):
        error = np.hypot(*((actual - expected)[..., member] for member in (first, second)))
        error /= np.hypot(expected[..., first], expected[..., second])
        worst = max(worst, float(np.nan_to_num(error, nan=np.inf).max()))
    return worst / eps(workload.dtype)


def table(rows: list[Row]) -> Table:
    """Return the table, headings first.

    Parameters
    ----------
    rows : list of Row
        What was measured.

    Returns
    -------
    list of tuple of str
        Its cells.
    """
    return [HEADINGS, *(_cells(row) for row in rows)]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.moved_bytes / 1e6:.1f}",
        f"{row.copy.median:.1f}",
        f"{row.ours.median:.1f}",
        f"{row.of_copy:.3f}",
        f"{row.peer.median:.1f}",
        f"{row.of_peer:.3f}",
        f"{row.error:.2f}",
    )


def main() -> int:
    """Check, measure and print.

    Returns
    -------
    int
        0 if ours is ahead everywhere.
    """
    parser = argparse.ArgumentParser(prog="python -m ropelab_cuda.bench.neighbours")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all numbers there")
    arguments = parser.parse_args()
    where = environment()
    print(where["card"])
    import torch

    rows, failures = [], []
    with torch.no_grad():
        inputs = Inputs(BAR, CYCLE.sets)
        for neighbour in neighbours(inputs):
            try:
                rows.append(measure(inputs, neighbour))
            except RuntimeError as failure:
                failures.append(str(failure))
    print("\n".join([aligned(table(rows), 1), *failures]))
    ahead = sum(row.of_peer >= 1.0 for row in rows)
    print(f"{ahead} of {len(rows) + len(failures)} ahead of torch.compile")
    if arguments.json is not None:
        content = {
            "environment": where,
            "rows": [
                asdict(row) | {"of_copy": row.of_copy, "of_peer": row.of_peer} for row in rows
            ],
        }
        arguments.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return 0 if ahead == len(rows) + len(failures) else 1


if __name__ == "__main__":
    sys.exit(main())

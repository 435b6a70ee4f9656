"""The tables that ``python -m ropelab.golden`` prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rich.table import Table

from .verification import Result
from .zoo.matrix import KillMatrix

__all__ = ["cases_table", "zoo_table"]


def cases_table(results: Iterable[Result]) -> Table:
    """Return how the specification fares, by operation, dtype and angle pipeline."""
    caption = "float64 errors are 4e-10 rad at position 2**31, from turns of 64 bits"
    table = Table(title="The specification against the goldens", caption=caption)
    for heading in ("operation", "dtype", "angles"):
        table.add_column(heading)
    for heading in ("cases", "failed", "worst error", "largest share of bound"):
        table.add_column(heading, justify="right")
    groups: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        angles = str(result.case.options.get("angles", "")) if result.case.op != "refused" else ""
        dtype = result.case.dtype if result.case.tolerance.metric != "equal" else "exact bits"
        groups[result.case.op, dtype, angles].append(result)
    for (op, dtype, angles), group in sorted(groups.items()):
        worst = max(group, key=lambda result: result.share)
        unit = {"pair": "eps", "ulp": "ulp", "equal": ""}[worst.case.tolerance.metric]
        failed = sum(not result.passed for result in group)
        share = f"{worst.share:.3f}"
        error = f"{worst.error:.3g} {unit}"
        table.add_row(op, dtype, angles, str(len(group)), str(failed or "-"), error, share)
    return table


def zoo_table(matrix: KillMatrix) -> Table:
    """Return the kill matrix, with how clearly each bug is rejected."""
    table = Table(
        title="Known bugs, and how many cases of each family reject them",
        caption="margin: error in units of the tolerance; for a bug of rotations in the dtype that "
        "shows it least; inf: a bit moved that nothing may touch",
        padding=(0, 0),
        pad_edge=False,
    )
    table.add_column("", vertical="bottom")
    table.add_column("bug", vertical="bottom")
    table.add_column("margin", justify="right", vertical="bottom")
    for family in matrix.cases:
        # Downwards, one letter a line: the columns are as narrow as their numbers.
        table.add_column("\n".join(family), justify="right", vertical="bottom", no_wrap=True)
    for name, mutant in matrix.mutants.items():
        killed = (str(matrix.kills[name].get(family, "")) for family in matrix.cases)
        clear = f"{matrix.margins[name]:.2g}"
        style = "bold red" if name in matrix.survivors else None
        table.add_row(mutant.mechanism, name, clear, *killed, style=style)
    return table

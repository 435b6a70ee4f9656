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
    caption = (
        "share: of the bound, the largest; rad: where a bound of float64 is that of an angle, from "
        "turns of 64 bits (4e-10 rad at position 2**31), or from frequencies within 2 ulp"
    )
    table = Table(title="The specification against the goldens", caption=caption)
    for heading in ("operation", "dtype", "angles"):
        table.add_column(heading)
    for heading in ("cases", "failed", "worst error", "share"):
        table.add_column(heading, justify="right")
    groups: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        angles = str(result.case.options.get("angles", "")) if result.case.op != "refused" else ""
        dtype = result.case.dtype if result.case.tolerance.metric != "equal" else "exact bits"
        groups[result.case.op, dtype, angles].append(result)
    for (op, dtype, angles), group in sorted(groups.items()):
        worst = max(group, key=lambda result: result.share)
        failed = sum(not result.passed for result in group)
        share = f"{worst.share:.3f}"
        table.add_row(op, dtype, angles, str(len(group)), str(failed or "-"), _error(worst), share)
    return table


def _error(worst: Result) -> str:
    """Return an error with its unit; of a pair, 1 eps is as much as 1 eps of a radian."""
    allowed = worst.case.tolerance
    if allowed.unit == "float64" and allowed.metric == "pair" and allowed.bound > 5.0:
        return f"{worst.error * 2.0**-52:.1e} rad"
    unit = {"pair": "eps", "ulp": "ulp", "equal": ""}[allowed.metric]
    return f"{worst.error:.3g} {unit}".rstrip()


def zoo_table(matrix: KillMatrix) -> Table:
    """Return the kill matrix, with how clearly each bug is rejected."""
    families = ", ".join(f"{number}={name}" for number, name in enumerate(matrix.cases, start=1))
    table = Table(
        title="Known bugs, and how many cases of each family reject them",
        caption=f"{families}\n"
        "times: error in units of the tolerance; of a rotation, in the dtype that shows it least",
        padding=(0, 0),
        pad_edge=False,
    )
    table.add_column("")
    table.add_column("bug", no_wrap=True)
    table.add_column("times", justify="right", no_wrap=True)
    for number, _ in enumerate(matrix.cases, start=1):
        table.add_column(str(number), justify="right", no_wrap=True)
    for name, mutant in matrix.mutants.items():
        killed = (str(matrix.kills[name].get(family, "")) for family in matrix.cases)
        clear = matrix.margins[name]
        times = ">1000" if clear > 1000.0 else f"{clear:.3g}"
        style = "bold red" if name in matrix.survivors else None
        table.add_row(mutant.mechanism, name, times, *killed, style=style)
    return table

"""Check the goldens, as ``python -m ropelab.golden``.

New cases are added to the files first, unless ``--no-write``; what is frozen is never changed.
Exit code 0: everything holds; 1: something does not; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from . import DIRECTORY, Result, check, freeze_new, load
from .zoo import MUTANTS, Trial, margins


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m ropelab.golden", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where the files are")
    parser.add_argument("--no-write", action="store_true", help="add no new cases")
    parser.add_argument("--no-oracle", action="store_true", help="do not derive everything anew")
    parser.add_argument("--no-zoo", action="store_true", help="do not run the known bugs")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 100)
    if not options.directory.is_dir():
        parser.error(f"--directory: expected a folder; got {options.directory}")
    # In CI a case that is defined but not frozen is an oversight, not a wish.
    if not options.no_write and not os.environ.get("CI"):
        added = freeze_new(
            options.directory,
            lambda cases: track(list(cases), "Freezing new cases", console=console),
        )
        console.print(
            f"{len(added)} new cases frozen" if added else "No new cases; nothing written"
        )
    problems, results = check(
        options.directory,
        oracle=not options.no_oracle,
        track=lambda cases: track(list(cases), "Deriving anew from the oracle", console=console),
    )
    failed = [result for result in results if not result.passed]
    if results:
        console.print(_cases_table(results))
    survivors = [] if options.no_zoo or not results else _zoo(console, options.directory)
    for line in problems:
        console.print(f"[red]problem[/] {line}", highlight=False)
    for result in failed[:20]:
        why = result.message or f"{result.share:.4g} times what is allowed"
        console.print(f"[red]failed[/]  {result.case.id}: {why}", highlight=False, markup=True)
    sound = bool(results) and not (problems or failed or survivors)
    console.print(
        f"{len(results)} goldens: {len(results) - len(failed)} hold, {len(failed)} do not; "
        f"{len(problems)} problems with the files; {len(survivors)} known bugs not rejected"
    )
    console.print("[bold green]VERDICT: sound[/]" if sound else "[bold red]VERDICT: broken[/]")
    return 0 if sound else 1


def _cases_table(results: list[Result]) -> Table:
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


def _zoo(console: Console, directory: Path) -> list[str]:
    """Print how clearly each known bug is rejected; return the names of those that are not."""
    trial = Trial(load(directory))
    dtypes = ("float64", "float32", "float16", "bfloat16")
    table = Table(
        title="Known bugs: worst error in units of the tolerance (over 1 is rejected)",
        caption="inf: a bit moved that nothing may touch",
    )
    table.add_column("", justify="left")
    table.add_column("bug")
    for dtype in dtypes:
        table.add_column(dtype, justify="right")
    survivors = []
    for name, mutant in track(MUTANTS.items(), "Known bugs", console=console):
        margin = margins(trial.results(mutant))
        table.add_row(mutant.mechanism, name, *(f"{margin[dtype]:.3g}" for dtype in dtypes))
        if min(margin.values()) <= 1.0:
            survivors.append(name)
    console.print(table)
    return survivors


if __name__ == "__main__":
    sys.exit(main())

"""Check the goldens, as ``python -m ropelab.golden``.

New cases are added to the files first, unless ``--no-write``; what is frozen is never changed.
Exit code 0: everything holds; 1: something does not; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from . import DIRECTORY, check, freeze_new, load
from .report import cases_table, zoo_table
from .zoo import MUTANTS
from .zoo.matrix import kill_matrix, markdown


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
    parser.add_argument("--kill-matrix", type=Path, help="write the matrix of known bugs there")
    parser.add_argument("--json", action="store_true", help="print JSON; the rest to stderr")
    options = parser.parse_args(arguments)
    stream = sys.stderr if options.json else sys.stdout
    console = Console(file=stream, width=None if stream.isatty() else 100)
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
        console.print(cases_table(results))
    survivors: tuple[str, ...] = ()
    if results and not options.no_zoo:
        matrix = kill_matrix(
            MUTANTS,
            load(options.directory),
            lambda names: track(list(names), "Known bugs", console=console),
        )
        console.print(zoo_table(matrix))
        survivors = matrix.survivors
        if options.kill_matrix:
            options.kill_matrix.write_text(markdown(matrix), encoding="utf-8")
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
    if options.json:
        summary = {
            "sound": sound,
            "goldens": len(results),
            "failed": [result.case.id for result in failed],
            "problems": problems,
            "survivors": survivors,
        }
        print(json.dumps(summary, indent=1))
    console.print("[bold green]VERDICT: sound[/]" if sound else "[bold red]VERDICT: broken[/]")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())

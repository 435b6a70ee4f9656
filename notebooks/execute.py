"""Run the notebooks, two at a time, and check what is committed of them.

``python -m notebooks.execute [--write] [FILE ...]`` from the root of the repository. Each notebook
has a kernel of its own, in an empty folder. What it shows is compared with what is stored of it.
Nothing is written but with ``--write``, which stores the outputs of those without a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient

from notebooks.compared import differences
from notebooks.stored import faults, normalised

FOLDER = Path(__file__).parent
AT_ONCE = 2
LONGEST = 120.0  # seconds that a reader may wait for a notebook


class Run(NamedTuple):
    """How one notebook went."""

    path: Path
    seconds: float
    faults: list[str]


async def execute(path: Path, *, write: bool, free: asyncio.Semaphore) -> Run:
    """Run one notebook, and check what it shows and the file that is left."""
    async with free:
        notebook = nbformat.read(path, as_version=4)
        found, began = [], time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            client = NotebookClient(
                notebook,
                kernel_name="python3",
                extra_arguments=["--log-level=ERROR", "--InteractiveShell.colors=nocolor"],
                timeout=int(LONGEST),
                record_timing=False,
                coalesce_streams=True,
                resources={"metadata": {"path": folder}},
            )
            # Nobody plays the browser's part of a widget: it writes to the kernel between cells,
            # and now and then an answer is lost, for which a cell waits until its time is up.
            client.widget_registry = {}
            try:
                await client.async_execute()
            except Exception as error:  # whatever stops one leaves the others running
                found.append(str(error) or repr(error))
        seconds = time.perf_counter() - began
    if seconds > LONGEST:
        found.append(f"took {seconds:.0f} s, above {LONGEST:.0f}")
    found += _checked(path, None if found else normalised(notebook), write=write)
    print("\n  ".join([f"{path.name}: {seconds:.1f} s", *found]), flush=True)
    return Run(path, seconds, found)


def _checked(path: Path, fresh: str | None, *, write: bool) -> list[str]:
    """Return the faults of what a notebook shows now, if it ran, and of what is stored of it."""
    # A slider whose function raises stops no cell: the error is among what it shows.
    found = [] if fresh is None else list(faults(fresh))
    stored = path.read_text(encoding="utf-8")
    if fresh in (None, stored):
        return found or list(faults(stored))
    assert fresh is not None
    if write and not found:
        path.write_text(fresh, encoding="utf-8")
        return found
    found += (fault for fault in faults(stored) if fault not in found)
    return found + list(differences(fresh, stored))


async def execute_all(paths: list[Path], *, write: bool) -> list[Run]:
    """Run notebooks, a few at a time."""
    free = asyncio.Semaphore(AT_ONCE)
    return await asyncio.gather(*(execute(path, write=write, free=free) for path in paths))


def main() -> int:
    """Read the command line, run, and return 1 if a notebook is at fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="all by default")
    parser.add_argument("--write", action="store_true", help="store the outputs")
    given = parser.parse_args()
    paths = given.notebooks or sorted(FOLDER.glob("*.ipynb"))
    if missing := [str(path) for path in paths if not path.is_file()]:
        parser.error(f"no such notebook: {', '.join(missing)}")
    if not paths:
        parser.error(f"no notebooks in {FOLDER}")
    with tempfile.TemporaryDirectory() as settings:
        os.environ["IPYTHONDIR"] = settings  # the reader's own start-up files stay out of it
        runs = asyncio.run(execute_all(paths, write=given.write))
    wrong = [run.path.name for run in runs if run.faults]
    total = sum(run.seconds for run in runs)
    print(f"{len(runs)} notebooks, {total:.0f} s in all; at fault: {', '.join(wrong) or 'none'}")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())

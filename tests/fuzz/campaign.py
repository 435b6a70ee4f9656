"""Many fuzzed calls, in as many processes as there are cores for, and what they found."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from itertools import product
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings

from .call import Device
from .errors import BOUNDS, Finding
from .operations import OPERATIONS

__all__ = ["Row", "Rows", "campaign", "fuzzed", "merged", "table"]

CASES_A_RUN = 20  # of Hypothesis, at least
SEEDS_APART = 1000  # from run to run; from process to process they are 1 apart


class Row(NamedTuple):
    """What all cases of one operation and format came to: the finding that is nearest its bound."""

    cases: int
    worst: Finding


Rows = dict[tuple[str, str], Row]
Where = Callable[[], tuple[Device, AbstractContextManager[None]]]


def fuzzed(operation: str, kinds: tuple[Any, ...], count: int, number: int, device: Device) -> Rows:
    """Make so many calls of an operation, or a few more, that depend on a number alone.

    Parameters
    ----------
    operation : str
        One of `OPERATIONS`.
    kinds : tuple
        Some of its kinds.
    count : int
        Cases.
    number : int
        The seed.
    device : Device
        Where to make them.

    Returns
    -------
    Rows
        By the operation and the format that its errors count in.
    """
    # Hypothesis varies what it has drawn, and so keeps to a few kinds: it is asked anew for others.
    runs = max(1, min(len(kinds), count // CASES_A_RUN))
    each = math.ceil(count / runs)
    return merged(
        [
            _run(operation, kinds[run::runs], each, number + SEEDS_APART * run, device)
            for run in range(runs)
        ]
    )


def _run(operation: str, kinds: tuple[Any, ...], count: int, number: int, device: Device) -> Rows:
    rows: Rows = {}
    one, made = OPERATIONS[operation], 0

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(case=one.cases(kinds))
    def fuzz(case: Any) -> None:
        nonlocal made
        made += 1
        units: Rows = {}
        for found in one.findings(case, device):
            key = (operation, found.unit)
            units[key] = Row(1, max(found, units.get(key, Row(0, found)).worst, key=_share))
        _add(rows, units)

    fuzz()
    assert made >= count, f"{operation}: only {made} of {count} cases"
    return rows


def campaign(count: int, number: int, processes: int, where: Where) -> Rows:
    """Make calls of all operations; each kind's in one process, where its kernels are compiled.

    Parameters
    ----------
    count : int
        Cases of all operations together, at least.
    number : int
        The seed of the first process's cases; others follow.
    processes : int
        How many at a time; 1 is this one alone.
    where : callable
        A function of a module, which gives the device and what to do around its calls.

    Returns
    -------
    Rows
        As `fuzzed` returns them.
    """
    shards = [
        (name, shard, parts, math.ceil(count * operation.share / parts), number, where)
        for name, operation in OPERATIONS.items()
        for parts in [min(processes, len(operation.kinds))]
        for shard in range(parts)
    ]
    if processes == 1:
        return merged([_shard(*shard) for shard in shards])
    fresh = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    with ProcessPoolExecutor(processes, mp_context=fresh) as pool:
        futures = [pool.submit(_shard, *shard) for shard in shards]
        try:
            return merged([future.result() for future in as_completed(futures)])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _shard(name: str, shard: int, shards: int, count: int, number: int, where: Where) -> Rows:
    device, around = where()
    with around:
        return fuzzed(name, OPERATIONS[name].kinds[shard::shards], count, number + shard, device)


def merged(parts: list[Rows]) -> Rows:
    """Return the rows of several processes as one."""
    rows: Rows = {}
    for part in parts:
        _add(rows, part)
    return rows


def table(rows: Rows) -> str:
    """Return the rows as text, the operations in their order and the formats from the narrowest."""
    units = [*BOUNDS, *sorted({unit for _, unit in rows} - {*BOUNDS})]
    found = [
        (name, unit, *rows[name, unit])
        for name, unit in product(OPERATIONS, units)
        if (name, unit) in rows
    ]
    return "\n".join(
        f"  {name:9} {unit:13} {worst.error:8.4f} of {worst.bound:<7.4g} in {cases} cases"
        for name, unit, cases, worst in found
    )


def _add(rows: Rows, more: Rows) -> None:
    for key, row in more.items():
        cases, worst = rows.get(key, Row(0, row.worst))
        rows[key] = Row(cases + row.cases, max(worst, row.worst, key=_share))


def _share(found: Finding) -> float:
    return found.error / found.bound if found.bound else 0.0

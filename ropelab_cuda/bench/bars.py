"""The bars that the kernels are to clear, and whether a run clears them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .results import IN_PLACE, OURS, Measurement, Result
from .workloads import DECODE, FEW_HEADS, PARTIAL, PREFILL, RESIDENT, WORKLOADS, Workload

__all__ = ["Verdict", "verdicts"]

LARGE = 300e6  # bytes, from which on a rotation is to be nearly a copy
OF_COPY = {FEW_HEADS: 0.96, RESIDENT[0]: 0.98, RESIDENT[1]: 0.95}
MICROSECONDS = dict(zip(DECODE, (2.7, 1.4, 1.1), strict=True))
OF_MUL = {IN_PLACE: 1.3, OURS: 2.0}


@dataclass(frozen=True)
class Verdict:
    """One bar and one number.

    Parameters
    ----------
    bar : str
        Which bar.
    subject : str
        What was measured; of several rows the worst.
    value : float or None
        The number; None if it was not measured.
    unit : str
        Of the number.
    bound : float
        What it is to be.
    at_least : bool
        Whether it is to be at least that, rather than at most.
    holds : bool
        Whether it is.
    """

    bar: str
    subject: str
    value: float | None
    unit: str
    bound: float
    at_least: bool
    holds: bool


def verdicts(
    measurements: Sequence[Measurement],
    host: Mapping[str, float] | None = None,
    asked: Sequence[Workload] = WORKLOADS,
) -> list[Verdict]:
    """Judge a run by every bar.

    Parameters
    ----------
    measurements : sequence of Measurement
        The workloads that were measured.
    host : mapping of str to float, optional
        Host time of a call by its name, in times of a torch.mul.
    asked : sequence of Workload, optional
        Those whose bars count; by default all.

    Returns
    -------
    list of Verdict
        In the order of the bars. What was not measured does not hold.
    """
    by_workload = {measurement.workload: measurement for measurement in measurements}
    found: list[Verdict] = []
    for workload in (*PREFILL, FEW_HEADS, *PARTIAL):
        if workload in asked:
            found += _prefill(workload, by_workload.get(workload))
    for workload, share in OF_COPY.items():
        if workload not in asked:
            continue
        bar = "2 few heads" if workload == FEW_HEADS else "3 cache-resident"
        found.append(_of_copy(bar, workload, by_workload.get(workload), share))
    for workload, microseconds in MICROSECONDS.items():
        if workload in asked:
            found.append(_microseconds(workload, by_workload.get(workload), microseconds))
    for name, times in OF_MUL.items():
        value = (host or {}).get(name)
        holds = value is not None and value <= times
        found.append(Verdict("4 host", name, value, "× torch.mul", times, False, holds))
    return found


def _ours(measurement: Measurement | None) -> list[Result]:
    if measurement is None:
        return []
    return [row for row in measurement.results if row.name in (OURS, IN_PLACE)]


def _prefill(workload: Workload, measurement: Measurement | None) -> Iterator[Verdict]:
    yield _of_peer(workload, measurement)
    if workload.moved_bytes >= LARGE and workload not in (*OF_COPY, *PARTIAL):
        yield _of_copy("1 prefill", workload, measurement, 0.97)


def _of_peer(workload: Workload, measurement: Measurement | None) -> Verdict:
    """Judge the row that is furthest behind its best peer."""
    unit, worst = "× the best peer", None
    for row in _ours(measurement):
        assert measurement is not None
        speed, peer = measurement.of_best_peer(row), measurement.best_peer(row)
        if row.device and peer is None and workload in PARTIAL:
            continue  # nobody else does that in place
        if speed is None:
            return Verdict("1 prefill", _named(workload, row, peer), None, unit, 1.0, True, False)
        if worst is None or speed < worst[0]:
            worst = speed, _named(workload, row, peer)
    value, subject = worst or (None, str(workload))
    return Verdict("1 prefill", subject, value, unit, 1.0, True, value is not None and value >= 1.0)


def _of_copy(
    bar: str, workload: Workload, measurement: Measurement | None, share: float
) -> Verdict:
    worst: tuple[float | None, str] = (None, str(workload))
    for row in _ours(measurement):
        assert measurement is not None
        value = measurement.of_copy(row)
        if value is None:
            return Verdict(bar, _named(workload, row), None, "of the copy", share, True, False)
        if worst[0] is None or value < worst[0]:
            worst = value, _named(workload, row)
    holds = worst[0] is not None and worst[0] >= share
    return Verdict(bar, worst[1], worst[0], "of the copy", share, True, holds)


def _microseconds(workload: Workload, measurement: Measurement | None, bound: float) -> Verdict:
    worst: tuple[float | None, str] = (None, str(workload))
    for row in _ours(measurement):
        if row.device is None:
            return Verdict("3 decode", _named(workload, row), None, "μs", bound, False, False)
        if worst[0] is None or row.device.median > worst[0]:
            worst = row.device.median, _named(workload, row)
    holds = worst[0] is not None and worst[0] <= bound
    return Verdict("3 decode", worst[1], worst[0], "μs", bound, False, holds)


def _named(workload: Workload, row: Result, peer: Result | None = None) -> str:
    way = ", backward" if row.backward else ""
    beside = f", beside {peer.name}" if peer else ""
    return f"{workload}: {row.name}, {row.layout}{way}{beside}"

"""What was measured, and whether it is fast enough."""

from __future__ import annotations

from dataclasses import dataclass

from .timing import Timing
from .workloads import Cycle, Workload

__all__ = ["COMPILED", "COPY", "IN_PLACE", "OURS", "Measurement", "Result", "verdict"]

# Names of rows that others are compared with.
COPY, COMPILED = "device copy", "torch.compile"
OURS, IN_PLACE = "ropelab", "ropelab, in place"
LEAST_OF_COPY = 0.93


@dataclass(frozen=True)
class Result:
    """One row of a table.

    Parameters
    ----------
    name, layout : str
        Who rotates what; no layout for the copy.
    error : float
        Worst pair error against the specification, in eps.
    device : Timing or None
        Microseconds of the device; None if the result was wrong, and therefore not timed.
    host : float or None
        Microseconds of the host for an eager call.
    """

    name: str
    layout: str
    error: float
    device: Timing | None
    host: float | None


@dataclass(frozen=True)
class Measurement:
    """All that was measured for one workload.

    Parameters
    ----------
    workload : Workload
        Shapes and dtype.
    cycle : Cycle
        How the calls walked over memory.
    mul_host : float
        Host microseconds of one eager torch.mul, as a yardstick.
    results : tuple of Result
        The rows.
    """

    workload: Workload
    cycle: Cycle
    mul_host: float
    results: tuple[Result, ...]

    def time(self, name: str, layout: str = "") -> Timing | None:
        """Return the device's time of one row, if it was timed."""
        for result in self.results:
            if (result.name, result.layout) == (name, layout):
                return result.device
        return None

    def bandwidth(self, result: Result) -> float | None:
        """Return terabytes a second."""
        return self.workload.moved_bytes / result.device.median / 1e6 if result.device else None

    def of_copy(self, result: Result) -> float | None:
        """Return the share of the copy's bandwidth that a row reaches."""
        return _ratio(self.time(COPY), result.device)

    def of_compiled(self, result: Result) -> float | None:
        """Return how many times faster a row is than torch.compile in the same layout."""
        return _ratio(self.time(COMPILED, result.layout), result.device)


def _ratio(reference: Timing | None, timing: Timing | None) -> float | None:
    return reference.median / timing.median if reference and timing else None


def verdict(measurement: Measurement) -> list[tuple[str, bool]]:
    """Judge our exact rotations: at least 0.93 of the copy, and not slower than torch.compile.

    Parameters
    ----------
    measurement : Measurement
        Of any workload; the bar was set for one.

    Returns
    -------
    list of (str, bool)
        A sentence for each of ours, and whether it holds. Slower means slower than the 90th
        percentile of torch.compile: less than that is noise.
    """
    return [
        _judge(measurement, result)
        for result in measurement.results
        if result.name in (OURS, IN_PLACE)
    ]


def _judge(measurement: Measurement, result: Result) -> tuple[str, bool]:
    compiled, of_copy = measurement.time(COMPILED, result.layout), measurement.of_copy(result)
    row = f"{result.name}, {result.layout}"
    if result.device is None or compiled is None or of_copy is None:
        return f"{row}: cannot be judged, since a result was wrong", False
    holds = of_copy >= LEAST_OF_COPY and result.device.median <= compiled.p90
    numbers = f"{of_copy:.3f} of the copy, {measurement.of_compiled(result):.3f} × torch.compile"
    return f"{row}: {numbers}: {'meets' if holds else 'MISSES'} the bar", holds

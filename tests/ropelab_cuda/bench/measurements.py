"""A made-up measurement, for tests of what is done with one."""

from __future__ import annotations

from ropelab_cuda.bench.results import COMPILED, COPIES, IN_PLACE, OURS, Measurement, Result
from ropelab_cuda.bench.timing import Timing
from ropelab_cuda.bench.workloads import BAR, Cycle, Workload

__all__ = ["measurement"]


def measurement(workload: Workload = BAR, /, **times: float | None) -> Measurement:
    """Return a measurement with times by row; 100 microseconds for the others."""

    def result(name: str, layout: str, backward: bool, key: str) -> Result:
        median = times.get(f"{key}_{layout}", times.get(key, 100.0))
        timing = None if median is None else Timing(median, median - 1.0, median + 1.0)
        return Result(name, layout, backward, 0.5, timing, "" if timing else "wrong")

    rows = [result(COPIES[0], "", False, "driver"), result(COPIES[1], "", False, "copy")]
    for layout in ("half", "interleaved"):
        rows += [result(OURS, layout, False, "ours"), result(IN_PLACE, layout, True, "in_place")]
        rows += [result(COMPILED, layout, back, "compiled") for back in (False, True)]
    rows.append(result("Liger, in place", "half", False, "liger"))
    return Measurement(workload, Cycle(sets=2, calls=12, times_l2=10.7), tuple(rows))
